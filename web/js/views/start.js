// @ts-check
/** @import {LiveKind, ServiceStatus, State} from "../types.js" */
import { byId, changes } from "../dom.js";
import { formatBytes } from "../format.js";
import { translator } from "../i18n.js";

/** @typedef {Record<"choose" | "address" | "random" | LiveKind, () => void>} Giving the ways to give a picture */

/**
 * Whether the collection that is shown is none of those there are; a library without any is merely empty.
 * @param {ServiceStatus | null} status
 */
export function isGone(status) {
  const { collections, collection } = status ?? {};
  return !!collections?.length && !!collection && !collections.includes(collection);
}

/** The page's start: what it does, and the ways to give a picture. */
export class StartView {
  #hello = byId("hello", HTMLElement);
  #start = byId("start", HTMLElement);
  #accepts = byId("accepts", HTMLElement);
  #empty = byId("empty", HTMLElement);
  #work = byId("work", HTMLElement);
  #ask = byId("ask", HTMLFormElement);
  #found = byId("found", HTMLElement);
  #chips = byId("chips", HTMLElement);
  #drag = byId("drag", HTMLElement);
  #choose = byId("choose", HTMLButtonElement);
  #title = byId("results-title", HTMLElement);
  #query = byId("query", HTMLElement);
  #library = byId("library", HTMLElement);
  #shown = byId("library-shown", HTMLElement);
  #live = byId("live", HTMLElement);
  #byAddress;
  #startChanges = changes();
  #libraryChanges = changes();

  /** @param {{actions: Giving}} parts */
  constructor({ actions }) {
    const dropzone = byId("dropzone", HTMLElement);
    this.#byAddress = /** @type {HTMLButtonElement} */ (dropzone.querySelector('[data-by="address"]'));
    dropzone.addEventListener("click", (event) => {
      const button = event.target instanceof Element ? event.target.closest("button") : null;
      actions[/** @type {keyof Giving} */ (button?.dataset.by ?? "choose")]();
    });
    if (/Mac|iPhone|iPad/.test(navigator.platform)) byId("paste-keys", HTMLElement).textContent = "⌘ V";
  }

  /** @param {State} state */
  render(state) {
    const { status } = state.service;
    const { phase } = state.search;
    const { which } = state.library;
    this.#drag.hidden = !state.dragging;
    if (this.#startChanges(state.locale, status)) {
      const tr = translator(state.locale);
      const formats = status?.formats?.map((name) => name.toUpperCase()).join(", ");
      const limit = status?.limits?.max_image_bytes;
      const off = status?.features?.url_fetch === false;
      this.#byAddress.disabled = off;
      this.#accepts.textContent = [
        formats && limit ? tr.t("start.accepts", { formats, limit: formatBytes(limit) }) : "",
        off ? tr.t("address.off") : "",
      ].join(" ");
      this.#empty.hidden = status?.images !== 0 || isGone(status);
    }
    if (this.#libraryChanges(state.locale, which, state.library.phase)) this.#renderLibrary(state);
    // What shows it comes later: its place is kept.
    this.#query.hidden = !state.query || state.query.kind === "live";
    const works = !!state.query || state.rows.length > 0 || (!!state.words && phase !== "idle") || phase === "loading";
    if (works !== this.#work.hidden) return;
    // What has the keyboard's focus is about to be hidden: go on where the page does.
    const leaves = works ? this.#start : this.#work;
    const losesFocus = [leaves, this.#chips].some((part) => part.contains(document.activeElement));
    this.#hello.hidden = works;
    this.#start.hidden = works;
    this.#work.hidden = !works;
    // Above the query a chip that comes would push down the region that is being drawn.
    if (works) this.#found.prepend(this.#chips);
    else this.#ask.append(this.#chips);
    if (losesFocus) (works ? this.#title : this.#choose).focus({ preventScroll: true });
  }

  /** What manages the library may be on its way: that it comes is said at once. @param {State} state */
  #renderLibrary({ locale, library: { which, phase } }) {
    const waits = phase === "loading";
    this.#library.hidden = !which;
    document.body.dataset.at = which ? "library" : "search";
    this.#library.setAttribute("aria-busy", String(waits));
    this.#shown.hidden = phase === "error";
    if (which && waits) this.#live.textContent = translator(locale).t("results.loadingMore");
  }
}
