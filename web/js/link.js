// @ts-check
/** @import {Crop, Filters, State, Which} from "./types.js" */
import { tagsOf } from "./filters.js";
import { safeUrl } from "./format.js";
import { DEFAULT_TOP_K, NO_FILTERS, PLAIN } from "./store.js";

/**
 * A search as the page's address has it; an uploaded picture cannot be in it.
 * @typedef {import("./types.js").Refinement & {imageId: string | null, url: string | null, topK: number,
 *   viewedId: string | null, library: Which | null, collection: string}} Link
 */

const ID = /^[0-9a-f]{64}$/;
const DAY = /^\d{4}-\d\d-\d\d$/;

/**
 * @param {State} state
 * @returns {string} the query string, "" of the page's start
 */
export function linkOf({ query, words, share, crop, filters, negatives, topK, viewed, library, collection, search: { wantedId } }) {
  const stored = query?.kind === "stored";
  /** @type {[string, string | number | false | null | undefined][]} */
  const place = [
    ["library", library.which],
    ["collection", collection],
  ];
  /** @type {typeof place} */
  const asked = [
    ["q", words],
    ["id", stored ? query.imageId : wantedId],
    ["url", query?.kind === "url" && query.url],
    ["crop", query?.kind !== "file" && query?.kind !== "live" && crop && [crop.left, crop.top, crop.right, crop.bottom].join(",")],
    ["share", share !== PLAIN.share && share.toString()],
    ["tags", filters.tags.join(",")],
    ["width", filters.minWidth],
    ["height", filters.minHeight],
    ["from", filters.from],
    ["to", filters.to],
    ["match", filters.match],
    ["collapse", filters.collapse !== NO_FILTERS.collapse && filters.collapse],
    ["not", negatives.map(({ id }) => id).join(",")],
    ["n", topK !== DEFAULT_TOP_K && topK],
  ];
  const parts = [...place, ...(library.which ? [] : asked), /** @type {typeof place[0]} */ (["view", viewed?.id])];
  const found = new URLSearchParams(parts.flatMap(([name, value]) => (value ? [[name, String(value)]] : [])));
  return found.size ? `?${found}` : "";
}

/**
 * What a query string asks for; what cannot be is left out.
 * @param {string} search
 * @returns {Link}
 */
export function readLink(search) {
  const given = new URLSearchParams(search);
  /** @param {string} name */
  const text = (name) => (given.get(name) ?? "").trim();
  /** @param {string} name @param {RegExp} form */
  const shaped = (name, form) => (form.test(text(name)) ? text(name) : "");
  /** @param {string} name @param {number} most */
  const whole = (name, most) => (/^\d{1,9}$/.test(text(name)) ? Math.min(most, Number(text(name))) : 0);
  const share = text("share") ? Number(text("share")) : NaN;
  return {
    words: text("q"),
    share: share >= 0 && share <= 1 ? share : PLAIN.share,
    crop: cropOf(text("crop")),
    filters: {
      tags: tagsOf(text("tags")),
      minWidth: whole("width", 1e6),
      minHeight: whole("height", 1e6),
      from: shaped("from", DAY),
      to: shaped("to", DAY),
      match: /** @type {Filters["match"]} */ (shaped("match", /^(identical|near_duplicate|similar)$/)),
      collapse: /** @type {Filters["collapse"]} */ (shaped("collapse", /^(identical|near_duplicate)$/) || "none"),
    },
    negatives: text("not")
      .split(",")
      .filter((id) => ID.test(id))
      .map((id) => ({ id, name: id.slice(0, 12) })),
    imageId: shaped("id", ID) || null,
    url: /^https?:/i.test(text("url")) ? safeUrl(text("url"), text("url")) : null,
    topK: whole("n", 200) || DEFAULT_TOP_K,
    viewedId: shaped("view", ID) || null,
    library: /** @type {Which} */ (shaped("library", /^(all|new|random|trash)$/)) || null,
    collection: shaped("collection", /^[a-z]\w{0,62}$/i),
  };
}

/** @param {string} text @returns {Crop | null} */
function cropOf(text) {
  const [left = NaN, top = NaN, right = NaN, bottom = NaN] = text ? text.split(",").map(Number) : [];
  return left >= 0 && top >= 0 && left < right && top < bottom && right <= 1 && bottom <= 1
    ? { left, top, right, bottom }
    : null;
}
