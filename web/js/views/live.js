// @ts-check
/** @import {Translator} from "../i18n.js" */
/** @import {Crop, LiveQuery, LiveState, State} from "../types.js" */
import { byId, changes, el, icon } from "../dom.js";
import { formatMs } from "../format.js";
import { learn, translator } from "../i18n.js";
import { FIRST_REGION } from "../live/region.js";
import { CropFrame } from "./crop.js";
import { PROBLEMS, WORDS } from "./words.js";

learn(WORDS);
learn(PROBLEMS);

/**
 * @typedef {{freeze: () => void, end: () => void, camera: (id: string) => void, crop: (crop: Crop | null) => void}} LiveActions
 */

/** What is searched with live: its picture with a movable region, how fast it goes, and the button that freezes it. */
export class LiveView {
  #actions;
  #section = byId("live-query", HTMLElement);
  #pace = el("p", { class: "live-pace" });
  #name = el("p", { class: "overline" });
  #freeze = el("button", { class: "button primary", type: "button" });
  #region = el("button", { class: "button", type: "button" });
  #end = el("button", { class: "button", type: "button" });
  #cameras = el("select");
  #place = el("input", { type: "range", min: 0, max: 100, step: 0.1 });
  #picture = el("div", { class: "query-picture" });
  /** @type {CropFrame | null} */
  #frame = null;
  /** @type {Crop | null} */
  #crop = null;
  /** @type {LiveQuery | null} */
  #query = null;
  #locale = /** @type {State["locale"]} */ ("en");
  #wordsChange = changes();
  #cropChanges = changes();

  /** @param {{actions: LiveActions}} parts */
  constructor({ actions }) {
    this.#actions = actions;
    this.#freeze.addEventListener("click", actions.freeze);
    this.#end.addEventListener("click", actions.end);
    this.#region.addEventListener("click", () => {
      const begins = !this.#crop;
      actions.crop(begins ? FIRST_REGION : null);
      if (begins) this.#frame?.focus();
    });
    this.#cameras.addEventListener("change", () => actions.camera(this.#cameras.value));
    this.#place.addEventListener("input", () => {
      const { video } = this.#query ?? {};
      if (video?.duration) video.currentTime = (video.duration * this.#place.valueAsNumber) / 100;
    });
    const words = el("div", { class: "live-words" }, [this.#name, this.#pace]);
    const buttons = el("div", { class: "query-actions" }, [this.#place, this.#cameras, this.#freeze, this.#region, this.#end]);
    this.#section.append(this.#picture, words, buttons);
  }

  /** @param {State} state */
  render({ live, locale, crop }) {
    this.#section.hidden = !live;
    this.#locale = locale;
    if (live?.query !== this.#query) this.#show(live?.query ?? null);
    if (!live) return;
    const tr = translator(locale);
    const { isFrozen, cameras, cameraId, query } = live;
    if (this.#wordsChange(locale, query, isFrozen)) {
      this.#section.setAttribute("aria-label", tr.t("live.label"));
      this.#section.toggleAttribute("data-frozen", isFrozen);
      this.#name.textContent = query.name || tr.t(`live.${query.source}`);
      this.#freeze.replaceChildren(tr.t(isFrozen ? "live.goOn" : "live.freeze"));
      this.#end.replaceChildren(icon("close"), tr.t("live.end"));
      this.#pace.title = tr.t("live.paceHint");
      this.#region.hidden = isFrozen;
      this.#place.hidden = isFrozen || query.source !== "video";
      this.#place.setAttribute("aria-label", tr.t("live.seek"));
      this.#cameras.hidden = isFrozen || cameras.length < 2;
      this.#cameras.setAttribute("aria-label", tr.t("live.which"));
      this.#cameras.replaceChildren(
        ...cameras.map(({ id, label }, place) => el("option", { value: id }, label || tr.t("live.cameraN", { n: place + 1 }))),
      );
      this.#cameras.value = cameraId;
    }
    this.#pace.textContent = paceOf(live, tr);
    if (this.#cropChanges(crop, this.#frame, locale)) this.#showCrop(crop);
  }

  /** @param {Crop | null} crop */
  #showCrop(crop) {
    const tr = translator(this.#locale);
    this.#crop = crop;
    this.#frame?.show(crop, tr);
    this.#region.replaceChildren(icon("crop"), tr.t(crop ? "crop.whole" : "crop.start"));
  }

  /** @param {LiveQuery | null} query */
  #show(query) {
    this.#query = query;
    if (!query) {
      this.#picture.replaceChildren();
      return;
    }
    const { video } = query;
    const stage = el("div", { class: "stage" }, video);
    const shape = () => stage.style.setProperty("--ratio", String(video.videoWidth / video.videoHeight || 1));
    shape();
    // A shared window may change its size.
    video.addEventListener("resize", shape);
    video.addEventListener("timeupdate", () => {
      if (video.duration) this.#place.value = String((100 * video.currentTime) / video.duration);
    });
    this.#frame = new CropFrame({
      stage,
      onChange: (crop) => {
        const hadFocus = stage.contains(document.activeElement);
        this.#actions.crop(crop);
        if (hadFocus && !crop) this.#region.focus({ preventScroll: true });
      },
    });
    this.#picture.replaceChildren(stage);
  }
}

/**
 * @param {LiveState} live
 * @param {Translator} tr
 */
function paceOf({ isFrozen, rate, latencyMs }, tr) {
  if (isFrozen) return tr.t("live.frozen");
  return rate ? tr.t("live.pace", { rate: rate.toFixed(1), ms: formatMs(latencyMs) }) : tr.t("live.starting");
}
