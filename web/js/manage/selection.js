// @ts-check
/** @import {State} from "../types.js" */
/** @import {Translator} from "../i18n.js" */
import { byId, changes, el } from "../dom.js";
import { tagsOf } from "../filters.js";
import { translator } from "../i18n.js";

/**
 * @typedef {{select: (on: boolean) => void, mark: (ids: string[], on: boolean) => void, removeAll: () => void,
 *   tagAll: (tags: string[]) => void, restoreAll: () => void, destroyAll: () => void}} SelectionActions
 */

/** Several pictures at once: which, and what is done with all of them. */
export class SelectionView {
  #select = el("button", { class: "button small", type: "button" });
  #count = el("span", { class: "fine", role: "status" });
  #all = el("button", { class: "button small", type: "button" });
  #tagWords = el("span", { class: "unseen" });
  #tags = el("input", { id: "tag-all", autocomplete: "off", dir: "auto" });
  #tag = el("button", { class: "button small", type: "submit" });
  #tagForm;
  #delete = el("button", { class: "button small", type: "button" });
  #restore = el("button", { class: "button small", type: "button" });
  #destroy = el("button", { class: "button small", type: "button" });
  #tools = el("div", { class: "selection-tools", role: "group", hidden: true });
  #changed = changes();
  /** @type {string[]} */
  #shown = [];

  /** @param {{actions: SelectionActions}} parts */
  constructor({ actions }) {
    this.#tagForm = el("form", { class: "tag-form" }, [el("label", {}, [this.#tagWords, this.#tags]), this.#tag], {
      submit: (event) => {
        event.preventDefault();
        if (this.#tag.getAttribute("aria-disabled") === "true") return;
        actions.tagAll(tagsOf(this.#tags.value));
        this.#tags.value = "";
      },
    });
    this.#select.addEventListener("click", () => actions.select(this.#tools.hidden));
    this.#all.addEventListener("click", () => actions.mark(this.#shown, this.#all.dataset.on === "true"));
    for (const [button, act] of /** @type {const} */ ([
      [this.#delete, actions.removeAll],
      [this.#restore, actions.restoreAll],
      [this.#destroy, actions.destroyAll],
    ])) {
      button.addEventListener("click", () => {
        if (button.getAttribute("aria-disabled") !== "true") act();
      });
    }
    this.#tools.append(this.#all, this.#tagForm, this.#delete, this.#restore, this.#destroy);
    byId("selection", HTMLElement).append(this.#count, this.#select, this.#tools);
  }

  /** @param {State} state */
  render({ library, locale }) {
    const { which, phase, selecting, selected, working, images, deleted } = library;
    if (!this.#changed(locale, which, phase, selecting, selected, working, images, deleted)) return;
    const tr = translator(locale);
    const inTrash = which === "trash";
    this.#shown = (inTrash ? deleted : images).map(({ id }) => id);
    this.#tools.hidden = !selecting;
    const hadFocus = document.activeElement === this.#select;
    this.#select.hidden = phase !== "loading" && !selecting && !this.#shown.length;
    if (hadFocus && this.#select.hidden) byId("library-title", HTMLElement).focus({ preventScroll: true });
    this.#select.textContent = tr.t(selecting ? "library.selectEnd" : "library.select");
    this.#select.setAttribute("aria-pressed", String(selecting));
    this.#tools.setAttribute("aria-label", tr.plural("library.selected", selected.length));
    this.#count.textContent = working
      ? tr.t("library.working", { n: tr.number(working.n), of: tr.number(working.of) })
      : selecting
        ? tr.plural("library.selected", selected.length)
        : "";
    const wantsAll = selected.length < this.#shown.length;
    this.#all.dataset.on = String(wantsAll);
    this.#all.textContent = tr.t(wantsAll ? "library.selectAll" : "library.selectNone");
    this.#tagWords.textContent = tr.t("library.tagsFor");
    this.#tags.placeholder = tr.t("library.tagsFor");
    this.#renderButtons(tr, inTrash, !selected.length || !!working);
  }

  /**
   * @param {Translator} tr
   * @param {boolean} inTrash
   * @param {boolean} isOff
   */
  #renderButtons(tr, inTrash, isOff) {
    for (const [button, key, isThere] of /** @type {const} */ ([
      [this.#tag, "library.tagAll", true],
      [this.#delete, "library.deleteAll", !inTrash],
      [this.#restore, "library.restoreAll", inTrash],
      [this.#destroy, "library.destroyHint", inTrash],
    ])) {
      button.textContent = tr.t(key);
      button.hidden = !isThere;
      button.setAttribute("aria-disabled", String(isOff));
    }
    this.#tagForm.hidden = inTrash;
  }
}
