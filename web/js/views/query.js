// @ts-check
/** @import {Query, State, TimingMs} from "../types.js" */
/** @import {MessageKey, Translator} from "../i18n.js" */
import { byId, changes, el, icon, replaceWhenBroken } from "../dom.js";
import { formatBytes, formatMs, safeUrl } from "../format.js";
import { translator } from "../i18n.js";

/** @type {["decode" | "fetch" | "embed" | "search" | "total", MessageKey][]} */
const STEPS = [
  ["fetch", "timing.fetch"],
  ["decode", "timing.decode"],
  ["embed", "timing.embed"],
  ["search", "timing.search"],
  ["total", "timing.total"],
];

/** The page's start, and beside results the picture they answer with its timings. */
export class QueryView {
  #base;
  #actions;
  #start = byId("start", HTMLElement);
  #dropzone = byId("dropzone", HTMLElement);
  #accepts = byId("accepts", HTMLElement);
  #empty = byId("empty", HTMLElement);
  #work = byId("work", HTMLElement);
  #aside = byId("query", HTMLElement);
  #drag = byId("drag", HTMLElement);
  #choose = byId("choose", HTMLButtonElement);
  #title = byId("results-title", HTMLElement);
  #startChanges = changes();
  #queryChanges = changes();
  #timingChanges = changes();
  #detail = el("p", { class: "fine" });
  #timings = el("div", { class: "timings" });

  /** @param {{base: string, actions: {choose: () => void, clear: () => void}}} parts */
  constructor({ base, actions }) {
    this.#base = base;
    this.#actions = actions;
    this.#choose.addEventListener("click", actions.choose);
    this.#dropzone.addEventListener("click", (event) => {
      if (!(event.target instanceof Element && event.target.closest("button"))) actions.choose();
    });
    if (/Mac|iPhone|iPad/.test(navigator.platform)) byId("paste-keys", HTMLElement).textContent = "⌘ V";
  }

  /** @param {State} state */
  render(state) {
    const tr = translator(state.locale);
    const { status } = state.service;
    const focused = document.activeElement;
    const losesFocus = this.#start.contains(focused) || this.#aside.contains(focused);
    this.#drag.hidden = !state.dragging;
    this.#start.hidden = !!state.query;
    this.#work.hidden = !state.query;

    if (this.#startChanges(state.locale, status)) {
      const formats = status?.formats?.map((name) => name.toUpperCase()).join(", ");
      const limit = status?.limits?.max_image_bytes;
      this.#accepts.textContent =
        formats && limit ? tr.t("start.accepts", { formats, limit: formatBytes(limit) }) : "";
      this.#empty.hidden = status?.images !== 0;
    }
    if (this.#queryChanges(state.locale, state.query)) {
      this.#aside.replaceChildren(...(state.query ? this.#picture(state.query, tr) : []));
      // What had the keyboard's focus is hidden or gone: go on where the page does.
      if (losesFocus) (state.query ? this.#title : this.#choose).focus({ preventScroll: true });
    }
    if (this.#timingChanges(state.locale, state.query, state.search.answer, state.search.phase)) {
      this.#renderAnswer(state, tr);
    }
  }

  /**
   * @param {Query} query
   * @param {Translator} tr
   */
  #picture(query, tr) {
    const isStored = query.kind === "stored";
    const preview = el("div", { class: "query-picture" });
    const source = safeUrl(query.previewUrl, this.#base);
    if (source) {
      const image = el("img", {
        src: source,
        alt: tr.t("query.alt"),
        width: isStored ? query.width : null,
        height: isStored ? query.height : null,
        decoding: "async",
      });
      replaceWhenBroken(image, tr.t("result.broken"));
      preview.append(image);
    }
    const full = isStored ? safeUrl(query.fullUrl, this.#base) : null;
    return [
      preview,
      el("div", { class: "query-words" }, [
        el("p", { class: "overline", id: "query-title" }, tr.t(isStored ? "query.stored" : "query.heading")),
        el("p", { class: "query-name", dir: "auto", title: query.name }, query.name || tr.t("query.pasted")),
        this.#detail,
        full && el("a", { class: "link", href: full, target: "_blank", rel: "noopener" }, [icon("open"), tr.t("query.open")]),
      ]),
      el("div", { class: "query-actions" }, [
        el("button", { class: "button", type: "button" }, [icon("upload"), tr.t("query.another")], {
          click: this.#actions.choose,
        }),
        el("button", { class: "button quiet", type: "button" }, tr.t("query.clear"), { click: this.#actions.clear }),
      ]),
      this.#timings,
    ];
  }

  /**
   * @param {State} state
   * @param {Translator} tr
   */
  #renderAnswer({ query, search }, tr) {
    const stored = query?.kind === "stored" ? query : null;
    const width = search.answer?.query.width ?? stored?.width;
    const height = search.answer?.query.height ?? stored?.height;
    const size = width && height ? tr.t("query.size", { width: tr.number(width), height: tr.number(height) }) : "";
    const bytes = query?.kind === "file" ? formatBytes(query.file.size) : "";
    this.#detail.textContent = [size, bytes].filter(Boolean).join(" · ");

    /** @type {TimingMs} */
    const timing = search.answer?.timing_ms ?? {};
    // A stored picture is neither fetched, decoded nor embedded: a row of zeros would only puzzle.
    const rows = STEPS.filter(([step]) => typeof timing[step] === "number" && (step === "total" || timing[step] > 0)).map(
      ([step, label]) => row(tr.t(label), formatMs(timing[step] ?? NaN), step),
    );
    this.#timings.hidden = search.phase !== "done";
    this.#timings.replaceChildren(
      el("p", { class: "overline" }, tr.t("timing.heading")),
      el("dl", {}, [...rows, row(tr.t("timing.roundTrip"), formatMs(search.roundTripMs), "round-trip")]),
    );
  }
}

/**
 * @param {string} name
 * @param {string} value
 * @param {string} step
 */
function row(name, value, step) {
  return el("div", { "data-step": step }, [el("dt", {}, name), el("dd", {}, value)]);
}
