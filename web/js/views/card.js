// @ts-check
/** @import {SearchResult, StoredImage, Viewed} from "../types.js" */
/** @import {MessageKey, Translator} from "../i18n.js" */
import { el, icon, replaceWhenBroken } from "../dom.js";
import { barFill, displayName, formatScore, safeUrl } from "../format.js";

/**
 * What can be done with a result.
 * @typedef {{searchWith: (image: StoredImage) => void, unlike: (image: StoredImage) => void,
 *   view: (viewed: Viewed | null) => void}} Picking
 */

/**
 * How a result came to be here: its kind of match, and whether picture, words or both found it.
 * @param {Pick<SearchResult, "match" | "found_by">} result
 * @param {Translator} tr
 */
export function reasonOf({ match, found_by: found }, tr) {
  /** @type {MessageKey} */
  const by = found.length > 1 ? "found.both" : found[0] === "text" ? "found.text" : "found.image";
  return match === "similar" || found.length > 1 ? `${tr.t(`match.${match}`)} · ${tr.t(by)}` : tr.t(`match.${match}`);
}

/**
 * A result as the grid and the rows show it.
 * @param {SearchResult} result
 * @param {{base: string, tr: Translator, actions: Picking, best?: number, canUnlike?: boolean}} parts `best`: the
 *   first result's score
 */
export function cardOf(result, { base, tr, actions, best = 1, canUnlike = false }) {
  const name = displayName(result);
  const score = formatScore(result.score);
  const rank = tr.number(result.rank);
  const source = safeUrl(result.thumbnail_url, base);
  const reason = reasonOf(result, tr);

  const picture = el("span", { class: "card-picture" });
  if (source) {
    const size = { width: result.width || 1, height: result.height || 1 };
    const image = el("img", { src: source, alt: "", ...size, loading: "lazy", decoding: "async", draggable: "false" });
    replaceWhenBroken(image, tr.t("result.broken"));
    picture.append(image);
  } else {
    picture.append(el("span", { class: "broken" }, icon("picture")));
  }

  const fill = el("span", { class: "score-fill" });
  fill.style.setProperty("--fill", String(barFill(result.score, best)));
  const others = result.sources.length - 1;
  const label = tr.t("result.view", { name, rank, score, reason });
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
    result.match !== "similar" && el("span", { class: "badge", "aria-hidden": "true" }, [icon("check"), tr.t(`match.${result.match}`)]),
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
  const fresh = cardOf(result, parts);
  for (const part of [".rank", ".score", ".card-reason"]) {
    const [now, then] = [fresh.querySelector(part), card.querySelector(part)];
    if (!now || !then) return fresh;
    then.textContent = now.textContent;
    then.setAttribute("title", now.getAttribute("title") ?? "");
  }
  const label = fresh.querySelector(".card-pick")?.getAttribute("aria-label") ?? "";
  card.querySelector(".card-pick")?.setAttribute("aria-label", label);
  const fill = /** @type {HTMLElement | null} */ (card.querySelector(".score-fill"));
  fill?.style.setProperty("--fill", String(barFill(result.score, parts.best ?? 1)));
  card.querySelector(".badge")?.remove();
  const badge = fresh.querySelector(".badge");
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
