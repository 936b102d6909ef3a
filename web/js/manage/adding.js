// @ts-check
/** @import {State, StoredImage, Upload} from "../types.js" */
/** @import {Translator} from "../i18n.js" */
import { byId, changes, el } from "../dom.js";
import { translator } from "../i18n.js";
import { announce, reasonOf } from "./telling.js";
import { isOpen } from "./uploads.js";

/** The pictures that are being added, and what became of each. */
export class AddingView {
  #actions;
  #section = byId("adding", HTMLElement);
  #title = el("h2", { id: "adding-title" });
  #bar = el("progress");
  #count = el("span", { class: "fine" });
  #outcome = el("p");
  #list = el("ol", { class: "uploads", tabindex: "0", "aria-labelledby": "adding-title" });
  #stop = el("button", { class: "button small", type: "button" });
  #again = el("button", { class: "button small", type: "button" });
  #clear = el("button", { class: "button small", type: "button" });
  #changed = changes();
  /** @type {readonly Upload[]} */
  #shown = [];
  #shownIn = "";
  #wasUploading = false;

  /**
   * @param {{actions: {stop: () => void, again: () => void, clear: () => void,
   *   view: (image: StoredImage) => void}}} parts
   */
  constructor({ actions }) {
    this.#actions = actions;
    this.#stop.addEventListener("click", actions.stop);
    this.#again.addEventListener("click", actions.again);
    this.#clear.addEventListener("click", () => {
      actions.clear();
      byId("add", HTMLButtonElement).focus();
    });
    this.#section.append(
      el("div", { class: "box-head" }, [this.#title, this.#bar, this.#count, this.#stop, this.#again, this.#clear]),
      this.#outcome,
      this.#list,
    );
  }

  /** @param {State} state */
  render({ library: { uploads, uploading }, locale }) {
    if (!this.#changed(locale, uploads, uploading)) return;
    this.#section.hidden = !uploads.length;
    const tr = translator(locale);
    /** @param {Upload["phase"][]} phases */
    const count = (...phases) => uploads.filter(({ phase }) => phases.includes(phase)).length;
    const ended = uploads.length - count("waiting", "sending");
    const progress = tr.t("add.progress", { n: tr.number(ended), of: tr.number(uploads.length) });
    this.#title.textContent = tr.t("add.heading");
    this.#bar.max = Math.max(1, uploads.length);
    this.#bar.value = ended;
    this.#bar.setAttribute("aria-label", tr.t("add.heading"));
    this.#count.textContent = progress;
    const [added, known, failed] = [count("created"), count("duplicate"), count("failed")];
    const outcome = [
      added > 0 && tr.plural("add.added", added),
      known > 0 && tr.plural("add.known", known),
      failed > 0 && tr.plural("add.failed", failed),
    ].filter(Boolean);
    this.#outcome.textContent = outcome.join(" · ");
    for (const [button, key, isThere] of /** @type {const} */ ([
      [this.#stop, "add.stop", uploading],
      [this.#again, "add.again", !uploading && uploads.some(isOpen)],
      [this.#clear, "add.clear", !uploading],
    ])) {
      button.textContent = tr.t(key);
      const hadFocus = button === document.activeElement;
      button.hidden = !isThere;
      if (hadFocus && !isThere) (uploading ? this.#stop : this.#clear).focus();
    }
    this.#renderList(uploads, tr);
    if (this.#wasUploading && !uploading && uploads.length) announce(outcome.join(", ") || progress);
    this.#wasUploading = uploading;
  }

  /**
   * @param {readonly Upload[]} uploads
   * @param {Translator} tr
   */
  #renderList(uploads, tr) {
    const before = this.#shownIn === tr.locale ? this.#shown : [];
    this.#shown = uploads;
    this.#shownIn = tr.locale;
    while (this.#list.children.length > uploads.length) this.#list.lastElementChild?.remove();
    uploads.forEach((upload, place) => {
      if (before[place] === upload) return;
      const row = this.#row(upload, tr);
      const old = this.#list.children[place];
      if (old) old.replaceWith(row);
      else this.#list.append(row);
    });
  }

  /**
   * @param {Upload} upload
   * @param {Translator} tr
   */
  #row({ name, phase, image, error, hint }, tr) {
    const reason = hint ? tr.t(hint.key, hint.params) : error ? reasonOf(error, tr) : "";
    const words = el("span", { dir: "auto" }, name || tr.t("query.pasted"));
    const title = image
      ? el("button", { class: "link", type: "button", "aria-label": tr.t("add.show", { name }) }, words, { click: () => this.#actions.view(image) })
      : words;
    const said = phase === "failed" ? reason : tr.t(`add.${phase}`);
    return el("li", { "data-phase": phase }, [el("span", { class: "upload-name" }, title), el("span", { dir: "auto" }, said)]);
  }
}
