// @ts-check
/** @import {State, StoredImage, Viewed} from "../types.js" */
/** @import {Translator} from "../i18n.js" */
/** @import {Picking} from "./card.js" */
import { byId, changes, el, icon, replaceWhenBroken } from "../dom.js";
import { displayName, formatScore, safeUrl } from "../format.js";
import { learn, translator } from "../i18n.js";
import { series } from "../viewing.js";
import { reasonOf } from "./card.js";
import { PROBLEMS, WORDS } from "./words.js";

learn(WORDS);
learn(PROBLEMS);

/** @typedef {{edit: (image: StoredImage) => void, remove: (image: StoredImage) => void}} Changing */

/** A picture in full beside the query, with its words, and what can be done with it. */
export class ViewerView {
  #base;
  #actions;
  #dialog = byId("viewer", HTMLDialogElement);
  #title = el("h2", { id: "viewer-title", dir: "auto", "aria-live": "polite" });
  #place = el("span", { class: "fine", "aria-live": "polite" });
  #previous = el("button", { class: "icon-button", type: "button" }, icon("left"));
  #next = el("button", { class: "icon-button", type: "button" }, icon("right"));
  #close = el("button", { class: "icon-button", type: "button" }, icon("close"));
  #body = el("div", { class: "viewer-body" });
  #changed = changes();
  /** @type {Element | null} */
  #cameFrom = null;

  /** @param {{base: string, actions: Picking & Changing & {step: (by: 1 | -1) => void}}} parts */
  constructor({ base, actions }) {
    this.#base = base;
    this.#actions = actions;
    this.#dialog.append(
      el("header", { class: "viewer-bar" }, [this.#title, this.#place, this.#previous, this.#next, this.#close]),
      this.#body,
    );
    this.#previous.addEventListener("click", () => actions.step(-1));
    this.#next.addEventListener("click", () => actions.step(1));
    this.#close.addEventListener("click", () => actions.view(null));
    this.#dialog.addEventListener("close", () => actions.view(null));
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) actions.view(null);
    });
    this.#dialog.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft") actions.step(-1);
      else if (event.key === "ArrowRight") actions.step(1);
      else return;
      event.preventDefault();
    });
  }

  /** @param {State} state */
  render(state) {
    const { viewed, locale, query, isAdmin } = state;
    const mayChange = isAdmin || !!state.library.which;
    if (!this.#changed(viewed, locale, query, mayChange, viewed && series(state))) return;
    if (viewed) {
      this.#renderPicture(viewed, state, mayChange, translator(locale));
      if (this.#dialog.open) return;
      this.#cameFrom = document.activeElement;
      this.#dialog.showModal();
    } else if (this.#dialog.open) {
      this.#dialog.close();
      // Where the browser no longer finds what had the focus, the card of the last picture is as good.
      if (this.#cameFrom instanceof HTMLElement && this.#cameFrom.isConnected) this.#cameFrom.focus();
    }
  }

  /**
   * @param {Viewed} viewed
   * @param {State} state
   * @param {boolean} mayChange
   * @param {Translator} tr
   */
  #renderPicture(viewed, state, mayChange, tr) {
    const shown = series(state);
    const place = shown.findIndex(({ id }) => id === viewed.id);
    const name = displayName(viewed);
    this.#title.textContent = name;
    this.#title.title = name.slice(0, 300);
    this.#place.textContent = place < 0 ? "" : tr.t("viewer.place", { n: tr.number(place + 1), of: tr.number(shown.length) });
    for (const [button, key, at] of /** @type {const} */ ([
      [this.#previous, "viewer.previous", place - 1],
      [this.#next, "viewer.next", place + 1],
      [this.#close, "viewer.close", 0],
    ])) {
      button.setAttribute("aria-label", tr.t(key));
      button.title = tr.t(key);
      button.setAttribute("aria-disabled", String(place < 0 ? at !== 0 : !shown[at]));
    }
    const full = safeUrl(viewed.url, this.#base);
    const own = state.library.which ? null : state.query ?? state.rows.find(({ results }) => shown === results)?.query;
    const given = own && safeUrl(own.kind === "stored" ? own.fullUrl : own.previewUrl, this.#base);
    this.#body.replaceChildren(
      el("div", { class: "viewer-pictures" }, [
        given && this.#figure(given, tr.t("query.heading"), tr),
        full && this.#figure(full, name, tr),
      ]),
      el("div", { class: "viewer-words" }, [
        el("div", { class: "viewer-actions" }, [
          this.#button("search", tr.t("result.searchHint"), () => this.#actions.searchWith(viewed)),
          !!own && !!state.query && this.#button("unlike", tr.t("result.unlikeHint"), () => this.#actions.unlike(viewed)),
          full && link(full, "save", tr.t("viewer.save"), { download: viewed.source_name.split("/").pop() || name.slice(0, 80) }),
          full && link(full, "open", tr.t("query.open"), { target: "_blank" }),
          mayChange && this.#button("edit", tr.t("viewer.edit"), () => this.#actions.edit(viewed)),
          mayChange && this.#button("bin", tr.t("viewer.delete"), () => this.#actions.remove(viewed)),
        ]),
        this.#facts(viewed, tr),
      ]),
    );
  }

  /**
   * @param {string} source
   * @param {string} caption
   * @param {Translator} tr
   */
  #figure(source, caption, tr) {
    const image = el("img", { src: source, alt: caption.slice(0, 300), decoding: "async" });
    replaceWhenBroken(image, tr.t("result.broken"));
    return el("figure", {}, [image, el("figcaption", { dir: "auto" }, caption)]);
  }

  /**
   * @param {string} sign
   * @param {string} label
   * @param {() => void} click
   */
  #button(sign, label, click) {
    return el("button", { class: "button small", type: "button", "data-act": sign }, [icon(sign), label], { click });
  }

  /**
   * @param {Viewed} viewed
   * @param {Translator} tr
   */
  #facts(viewed, tr) {
    const { match, found_by: found, score, width, height, tags, text, sources, created_at: added } = viewed;
    const page = /^https?:/i.test(viewed.source_url) ? safeUrl(viewed.source_url, viewed.source_url) : null;
    const day = new Date(added);
    const fields = Object.entries(viewed.fields).map(([name, value]) => `${name}: ${String(value)}`);
    /** @type {[string, string | HTMLElement | null | false | undefined][]} */
    const rows = [
      [tr.t("viewer.score"), score !== undefined && match && found && `${formatScore(score)} · ${reasonOf({ match, found_by: found }, tr)}`],
      [tr.t("viewer.title"), viewed.title],
      [tr.t("viewer.tags"), tags.length ? el("ul", { class: "tags" }, tags.map((tag) => el("li", { dir: "auto" }, tag))) : null],
      [tr.t("viewer.text"), text],
      [tr.t("viewer.size"), tr.t("query.size", { width: tr.number(width), height: tr.number(height) })],
      [tr.t("viewer.names"), sources.join("\n")],
      [tr.t("viewer.source"), page && el("a", { href: page, target: "_blank", rel: "noopener noreferrer" }, page)],
      [tr.t("viewer.fields"), fields.join("\n")],
      [tr.t("viewer.doubles"), viewed.collapsed?.length ? tr.number(viewed.collapsed.length) : null],
      [tr.t("viewer.added"), Number.isNaN(day.getTime()) ? null : day.toLocaleString(tr.locale)],
    ];
    return el(
      "dl",
      {},
      rows.flatMap(([name, value]) => (value ? [el("div", {}, [el("dt", {}, name), el("dd", { dir: "auto" }, value)])] : [])),
    );
  }
}

/**
 * @param {string} href
 * @param {string} sign
 * @param {string} label
 * @param {Record<string, string>} more
 */
function link(href, sign, label, more) {
  return el("a", { class: "button small", href, rel: "noopener", ...more }, [icon(sign), label]);
}
