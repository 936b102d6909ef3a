// @ts-check
/** @import {Filters, Refinement, State} from "../types.js" */
/** @import {Translator} from "../i18n.js" */
import { byId, changes, el, icon } from "../dom.js";
import { chipsOf, tagsOf } from "../filters.js";
import { translator } from "../i18n.js";

/** Words, how much they count beside the picture, filters, and chips of what is active. */
export class RefineView {
  #actions;
  #form = byId("ask", HTMLFormElement);
  #words = byId("words", HTMLInputElement);
  #wordsOff = byId("words-off", HTMLElement);
  #share = byId("share", HTMLInputElement);
  #shareField = byId("share-field", HTMLElement);
  #button = byId("filters-button", HTMLButtonElement);
  #filters = byId("filters", HTMLElement);
  #chips = byId("chips", HTMLElement);
  #wordChanges = changes();
  #shareChanges = changes();
  #filterChanges = changes();
  #chipChanges = changes();

  /**
   * @param {{actions: {refine: (change: Partial<Refinement>) => void, draft: (words: string) => void,
   *   setOriginal: (original: boolean) => void}}} parts
   */
  constructor({ actions }) {
    this.#actions = actions;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      actions.refine({ words: this.#words.value.trim(), filters: this.#read() });
    });
    this.#words.addEventListener("input", () => actions.draft(this.#words.value.trim()));
    // A search field's own cross empties it without a submit.
    this.#words.addEventListener("search", () => {
      if (!this.#words.value) actions.refine({ words: "" });
    });
    this.#share.addEventListener("change", () => actions.refine({ share: Number(this.#share.value) / 100 }));
    this.#button.addEventListener("click", () => this.#open(this.#filters.hidden));
    const original = this.#field("original");
    this.#filters.addEventListener("change", ({ target }) => {
      if (target === original) actions.setOriginal(original.checked);
      else actions.refine({ filters: this.#read() });
    });
  }

  /** @param {boolean} open */
  #open(open) {
    this.#filters.hidden = !open;
    this.#button.setAttribute("aria-expanded", String(open));
  }

  /** @param {string} name */
  #field(name) {
    return /** @type {HTMLInputElement} */ (this.#form.elements.namedItem(name));
  }

  /** @returns {Filters} */
  #read() {
    /** @param {string} name */
    const number = (name) => Math.min(1e6, Math.max(0, Math.round(Number(this.#field(name).value)) || 0));
    return {
      tags: tagsOf(this.#field("tags").value),
      minWidth: number("minWidth"),
      minHeight: number("minHeight"),
      from: this.#field("from").value,
      to: this.#field("to").value,
      match: /** @type {Filters["match"]} */ (this.#field("match").value),
      collapse: /** @type {Filters["collapse"]} */ (this.#field("collapse").value),
    };
  }

  /** @param {State} state */
  render(state) {
    const { words, share, filters, query, rows, locale } = state;
    const tr = translator(locale);
    const off = state.service.status?.features?.text === false;
    if (this.#wordChanges(words)) this.#words.value = words;
    this.#words.disabled = off;
    this.#wordsOff.hidden = !off;
    this.#shareField.hidden = off || !words || (!query && !rows.length);
    if (this.#shareChanges(share, locale)) {
      this.#share.value = String(Math.round(share * 100));
      this.#share.setAttribute("aria-valuetext", tr.t("ask.shareValue", { n: Math.round(share * 100) }));
    }
    if (this.#filterChanges(filters, state.original)) this.#write(state);
    if (this.#chipChanges(locale, filters, state.crop, state.negatives)) this.#renderChips(state, tr);
  }

  /** @param {State} state */
  #write({ filters, original }) {
    this.#field("tags").value = filters.tags.join(", ");
    this.#field("minWidth").value = filters.minWidth ? String(filters.minWidth) : "";
    this.#field("minHeight").value = filters.minHeight ? String(filters.minHeight) : "";
    for (const name of /** @type {const} */ (["from", "to", "match", "collapse"])) this.#field(name).value = filters[name];
    this.#field("original").checked = original;
  }

  /**
   * @param {State} state
   * @param {Translator} tr
   */
  #renderChips(state, tr) {
    const hadFocus = this.#chips.contains(document.activeElement);
    const chips = chipsOf(state);
    this.#chips.hidden = !chips.length;
    this.#chips.replaceChildren(
      ...chips.map(({ key, params, without }) => {
        const label = tr.t(key, params);
        const about = { class: "chip", type: "button", title: label, "aria-label": tr.t("chip.remove", { label }) };
        const words = el("span", { dir: "auto" }, label);
        return el("li", {}, el("button", about, [words, icon("close")], { click: () => this.#actions.refine(without) }));
      }),
    );
    if (!hadFocus) return;
    const beside = this.#form.contains(this.#chips) ? this.#words : byId("results-title", HTMLElement);
    (this.#chips.querySelector("button") ?? beside).focus({ preventScroll: true });
  }
}
