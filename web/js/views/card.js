// @ts-check
/** @import {SearchResult, StoredImage, Viewed} from "../types.js" */
/** @import {Translator} from "../i18n.js" */
import { el, icon, replaceWhenBroken } from "../dom.js";
import { barFill, displayName, formatScore, safeUrl } from "../format.js";

/**
 * What can be done with a result.
 * @typedef {{searchWith: (image: StoredImage) => void, unlike: (image: StoredImage) => void,
 *   view: (viewed: Viewed | null) => void}} Picking
 */

/**
 * How a result came to be here: its kind of match, or whether picture, words or both found it. What words alone found is
 * not called similar: no picture was compared with it.
 * @param {Pick<SearchResult, "match" | "found_by">} result
 * @param {Translator} tr
 */
export function reasonOf({ match, found_by: found }, tr) {
  if (match !== "similar") return tr.t(`match.${match}`);
  return tr.t(found.length > 1 ? "found.both" : found[0] === "text" ? "found.text" : "found.image");
}

/** So many first results are most likely in sight: their pictures need not wait for the page to be laid out. */
const IN_SIGHT = 8;

/**
 * What a search says of a result.
 * @param {SearchResult} result
 * @param {{tr: Translator, best?: number}} parts
 */
function judged(result, { tr, best = 1 }) {
  const [rank, score, reason] = [tr.number(result.rank), formatScore(result.score), reasonOf(result, tr)];
  return {
    rank,
    score,
    reason,
    fill: String(barFill(result.score, best)),
    label: tr.t("result.view", { name: displayName(result), rank, score, reason }),
    badge:
      result.match !== "similar" &&
      el("span", { class: "badge", "aria-hidden": "true" }, [icon("check"), tr.t(`match.${result.match}`)]),
  };
}

/**
 * A result as the grid and the rows show it.
 * @param {SearchResult} result
 * @param {{base: string, tr: Translator, actions: Picking, best?: number, canUnlike?: boolean}} parts `best`: the
 *   first result's score
 */
export function cardOf(result, { base, tr, actions, best = 1, canUnlike = false }) {
  const name = displayName(result);
  const { rank, score, reason, fill: share, label, badge } = judged(result, { tr, best });
  const source = safeUrl(result.thumbnail_url, base);

  const picture = el("span", { class: "card-picture" });
  if (source) {
    const size = { width: result.width || 1, height: result.height || 1 };
    const loading = result.rank <= IN_SIGHT ? "eager" : "lazy";
    const image = el("img", { loading, decoding: "async", src: source, alt: "", ...size, draggable: "false" });
    replaceWhenBroken(image, tr.t("result.broken"));
    picture.append(image);
  } else {
    picture.append(el("span", { class: "broken" }, icon("picture")));
  }

  const fill = el("span", { class: "score-fill" });
  fill.style.setProperty("--fill", share);
  const others = result.sources.length - 1;
  return el("li", { class: "card", "data-id": result.id }, [
    el("button", { class: "card-pick", type: "button", "aria-label": label }, picture, { click: () => actions.view(result) }),
    el("div", { class: "card-words" }, [
      el("div", { class: "card-line" }, [
        el("span", { class: "rank", title: tr.t("result.rank", { rank }) }, rank),
        el("span", { class: "score-bar", "aria-hidden": "true" }, fill),
        el("span", { class: "score", title: tr.t("result.score", { score }) }, score),
      ]),
      el("div", { class: "card-names" }, [
        el("span", { class: "card-title", dir: "auto", title: cut(result.title || result.source_name) }, name),
        el("span", { class: "card-source", dir: "auto", title: cut(result.sources.join("\n")) }, [
          result.source_name === name ? null : result.source_name,
          others > 0 && ` ${tr.plural("result.moreSources", others)}`,
        ]),
      ]),
      el("div", { class: "card-line" }, [
        el("span", { class: "card-reason", title: reason }, reason),
        action("search", tr.t("result.searchWith", { name }), tr.t("result.searchHint"), () => actions.searchWith(result)),
        canUnlike && action("unlike", tr.t("result.unlike", { name }), tr.t("result.unlikeHint"), () => actions.unlike(result)),
      ]),
    ]),
    badge,
  ]);
}

/**
 * The card of the same picture with what another search says of it; its picture and its focus stay.
 * @param {Element | undefined} card
 * @param {SearchResult} result
 * @param {Parameters<typeof cardOf>[1]} parts
 * @returns {HTMLLIElement | null} null where there is no such card
 */
export function renewed(card, result, parts) {
  if (!(card instanceof HTMLLIElement)) return null;
  const { rank, score, reason, fill, label, badge } = judged(result, parts);
  const { tr } = parts;
  const told = /** @type {const} */ ([
    [".rank", rank, tr.t("result.rank", { rank })],
    [".score", score, tr.t("result.score", { score })],
    [".card-reason", reason, reason],
  ]);
  for (const [part, words, hint] of told) {
    const shown = card.querySelector(part);
    // Most say the same as before, and what is written anew is laid out anew.
    if (!shown || shown.textContent === words) continue;
    shown.textContent = words;
    shown.setAttribute("title", hint);
  }
  card.querySelector(".card-pick")?.setAttribute("aria-label", label);
  /** @type {HTMLElement | null} */ (card.querySelector(".score-fill"))?.style.setProperty("--fill", fill);
  card.querySelector(".badge")?.remove();
  if (badge) card.append(badge);
  return card;
}

/**
 * @param {string} sign
 * @param {string} label
 * @param {string} hint
 * @param {() => void} click
 */
function action(sign, label, hint, click) {
  return el("button", { class: "icon-button", type: "button", "aria-label": label, title: hint }, icon(sign), { click });
}

/** A tooltip of 5,000 characters would cover the screen. @param {string} text */
function cut(text) {
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}
