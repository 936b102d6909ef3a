// @ts-check
/** @import {Crop, LiveQuery, Query, State, TimingMs} from "../types.js" */
/** @import {MessageKey, Translator} from "../i18n.js" */
/** @import {Giving} from "./start.js" */
import { byId, changes, el, icon, replaceWhenBroken } from "../dom.js";
import { formatBytes, formatMs, safeUrl } from "../format.js";
import { translator } from "../i18n.js";
import { CropFrame } from "./crop.js";

/** @type {["decode" | "fetch" | "embed" | "search" | "total", MessageKey][]} */
const STEPS = [
  ["fetch", "timing.fetch"],
  ["decode", "timing.decode"],
  ["embed", "timing.embed"],
  ["search", "timing.search"],
  ["total", "timing.total"],
];

/** @typedef {Giving & {clear: () => void, crop: (crop: Crop | null) => void}} QueryActions */

/** How long a region rests before the search follows. */
const CROP_REST_MS = 250;
/** @type {Crop} */
const FIRST_REGION = { left: 0.2, top: 0.2, right: 0.8, bottom: 0.8 };
/** @typedef {Exclude<Query, LiveQuery>} Picture */
/** @type {Record<Picture["kind"], MessageKey>} */
const OVERLINES = { file: "query.heading", stored: "query.stored", url: "query.url" };

/** The query picture with its region, and the timings of its answer. */
export class QueryView {
  #base;
  #actions;
  #aside = byId("query", HTMLElement);
  #title = byId("results-title", HTMLElement);
  #queryChanges = changes();
  #cropChanges = changes();
  #answerChanges = changes();
  #detail = el("p", { class: "fine" });
  #timings = el("div", { class: "timings" });
  #region = el("button", { class: "button", type: "button" });
  /** @type {CropFrame | null} */
  #frame = null;
  /** The region that is being drawn, before the search follows it. @type {Crop | null} */
  #drawn = null;
  #locale = /** @type {State["locale"]} */ ("en");
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #rest;

  /** @param {{base: string, actions: QueryActions}} parts */
  constructor({ base, actions }) {
    this.#base = base;
    this.#actions = actions;
    this.#region.addEventListener("click", () => {
      this.#setCrop(this.#drawn ? null : FIRST_REGION);
      if (this.#drawn) this.#frame?.focus();
    });
  }

  /** @param {State} state */
  render(state) {
    const { locale, crop, search } = state;
    // What is searched with live has a view of its own.
    const query = state.query?.kind === "live" ? null : state.query;
    const tr = translator(locale);
    this.#locale = locale;
    if (this.#queryChanges(locale, query, state.service.status?.features?.url_fetch)) {
      const losesFocus = this.#aside.contains(document.activeElement);
      clearTimeout(this.#rest);
      this.#aside.replaceChildren(...(query ? this.#picture(query, state, tr) : []));
      this.#cropChanges();
      if (losesFocus) this.#title.focus({ preventScroll: true });
    }
    if (this.#cropChanges(crop, this.#frame, locale)) this.#showCrop(crop);
    if (this.#answerChanges(locale, query, search.answer, search.phase)) this.#renderAnswer(state, tr);
  }

  /** @param {Crop | null} crop */
  #showCrop(crop) {
    const tr = translator(this.#locale);
    this.#drawn = crop;
    this.#frame?.show(crop, tr);
    this.#region.replaceChildren(icon("crop"), tr.t(crop ? "crop.whole" : "crop.start"));
  }

  /** @param {Crop | null} crop */
  #setCrop(crop) {
    const hadFocus = this.#aside.contains(document.activeElement);
    this.#showCrop(crop);
    if (hadFocus && !crop) this.#region.focus({ preventScroll: true });
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => this.#actions.crop(crop), CROP_REST_MS);
  }

  /**
   * @param {Picture} query
   * @param {State} state
   * @param {Translator} tr
   */
  #picture(query, state, tr) {
    const isStored = query.kind === "stored";
    const stage = el("div", { class: "stage" });
    const source = safeUrl(query.previewUrl, this.#base);
    if (source) {
      const image = el("img", { src: source, alt: tr.t("query.alt"), draggable: "false" });
      /** @param {number} width @param {number} height */
      const shape = (width, height) => stage.style.setProperty("--ratio", String(width / height));
      if (isStored) shape(query.width, query.height);
      image.addEventListener("load", () => shape(image.naturalWidth || 1, image.naturalHeight || 1));
      replaceWhenBroken(image, tr.t("result.broken"));
      stage.append(image);
    }
    this.#frame = new CropFrame({ stage, onChange: (crop) => this.#setCrop(crop) });
    const full = isStored ? safeUrl(query.fullUrl, this.#base) : query.kind === "url" ? safeUrl(query.url, query.url) : null;
    const noAddress = state.service.status?.features?.url_fetch === false;
    return [
      el("div", { class: "query-picture" }, stage),
      el("div", { class: "query-words" }, [
        el("p", { class: "overline" }, tr.t(OVERLINES[query.kind])),
        el("p", { class: "query-name", dir: "auto", title: query.name }, query.name || tr.t("query.pasted")),
        this.#detail,
        query.kind === "file" && el("p", { class: "fine" }, tr.t("query.noLink")),
        full && el("a", { class: "link", href: full, target: "_blank", rel: "noopener" }, [icon("open"), tr.t("query.open")]),
      ]),
      el("div", { class: "query-actions" }, [
        this.#region,
        button("upload", tr.t("query.another"), this.#actions.choose),
        button("link", tr.t("start.address"), this.#actions.address, noAddress && tr.t("address.off")),
        button("dice", tr.t("start.random"), this.#actions.random),
        button("close", tr.t("query.clear"), this.#actions.clear),
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
    // While an answer is awaited their place is kept, and the last one's stay: a gap would make the page jump.
    this.#timings.hidden = !search.answer && search.phase !== "loading";
    if (!search.answer) this.#timings.replaceChildren();
    if (search.phase !== "done") return;
    this.#timings.replaceChildren(
      el("p", { class: "overline" }, tr.t("timing.heading")),
      el("dl", {}, [...rows, row(tr.t("timing.roundTrip"), formatMs(search.roundTripMs), "round-trip")]),
    );
  }
}

/**
 * @param {string} sign
 * @param {string} label
 * @param {() => void} click
 * @param {string | false} [off] why it cannot be pressed
 */
function button(sign, label, click, off = false) {
  const about = { "aria-label": label, title: off || label, disabled: !!off };
  return el("button", { class: "icon-button framed", type: "button", ...about }, icon(sign), { click });
}

/**
 * @param {string} name
 * @param {string} value
 * @param {string} step
 */
function row(name, value, step) {
  return el("div", { "data-step": step }, [el("dt", {}, name), el("dd", {}, value)]);
}
