// @ts-check
/** @import {Answer, Api} from "../api.js" */
/** @import {Searcher} from "../searcher.js" */
/** @import {Store} from "../store.js" */
/** @import {LiveKind, LiveQuery, Query, SearchAnswer, State} from "../types.js" */
/** @import {Source} from "./sources.js" */
import { ApiError } from "../api.js";
import { el } from "../dom.js";
import { learn, translator } from "../i18n.js";
import { paramsOf } from "../request.js";
import { IDLE_SEARCH } from "../store.js";
import { Pump } from "./pump.js";
import { FIRST_REGION } from "./region.js";
import { listCameras, openSource, whyNot } from "./sources.js";
import { WORDS } from "./words.js";

const MOST_RESULTS = 12;
/** What the network needs of a frame, and what a frozen one is worth. */
const SHORTEST_PX = { asked: 256, frozen: 1080 };
const PATIENCE_MS = 10_000;

learn(WORDS);

/** A camera, a video file or the screen as a running query, until anything else is searched with. */
export class Live {
  #api;
  #store;
  #searcher;
  #open;
  #pump;
  /** @type {Source | null} */
  #source = null;
  /** The query whose end is the end of all this: the live one, or the frame that was frozen. @type {Query | null} */
  #held = null;
  #isSwitching = false;
  #attempt = 0;

  /** @param {{api: Api, store: Store, searcher: Searcher, open?: typeof openSource}} parts */
  constructor({ api, store, searcher, open = openSource }) {
    this.#api = api;
    this.#store = store;
    this.#searcher = searcher;
    this.#open = open;
    this.#pump = new Pump({
      fresh: async (signal) => this.#source?.fresh(signal),
      ask: (signal) => this.#ask(signal),
      onAnswer: (answer, pace) => this.#show(answer, pace),
      onError: (error) => this.#fail(error),
      now: () => performance.now(),
      wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    });
    store.subscribe((state) => this.#follow(state));
    document.addEventListener("visibilitychange", () => this.#follow(store.state));
    window.addEventListener("pagehide", () => this.end());
  }

  /** A video file is asked for. */
  choose() {
    const input = el("input", { type: "file", accept: "video/*" });
    input.addEventListener("change", () => input.files?.[0] && void this.start("video", input.files[0]));
    input.click();
  }

  /**
   * @param {LiveKind} kind
   * @param {string | File} [given] which camera, or the video file
   */
  async start(kind, given) {
    const attempt = ++this.#attempt;
    const before = this.#store.state.query;
    // Many machines lend one camera at a time.
    this.#letGo();
    /** @type {Source} */
    let source;
    try {
      source = await this.#open(kind, given);
    } catch (error) {
      if (attempt !== this.#attempt) return;
      if (before?.kind === "live") this.#searcher.clear();
      const name = given instanceof File ? given.name : "";
      this.#store.update({ live: null, hint: { key: whyNot(kind, error), params: { name }, tone: "error" } });
      return;
    }
    const cameras = kind === "camera" ? await listCameras() : [];
    const { state } = this.#store;
    if (attempt !== this.#attempt || state.query !== before) return source.stop();
    source.onLost(() => this.#lost(kind));
    this.#source = source;
    /** @type {LiveQuery} */
    const query = { kind: "live", source: kind, name: source.name, previewUrl: "", video: source.video };
    const live = { query, isFrozen: false, rate: 0, latencyMs: 0, cameras, cameraId: source.cameraId };
    const crop = before?.kind === "live" ? state.crop : kind === "screen" ? FIRST_REGION : null;
    this.#switch(() => this.#searcher.withLive(query, { crop, negatives: [], live }));
  }

  /** The frame that is shown now becomes a picture to search with as any other; pressed again, the source goes on. */
  async freeze() {
    const { live } = this.#store.state;
    if (!live || !this.#source) return;
    const held = this.#held;
    const frame = live.isFrozen ? null : await this.#source.frame(null, SHORTEST_PX.frozen);
    const { crop, negatives, locale } = this.#store.state;
    if (this.#held !== held) return;
    const kept = { crop, negatives, live: { ...live, isFrozen: !live.isFrozen } };
    if (!frame) return this.#switch(() => this.#searcher.withLive(live.query, kept));
    const name = `${live.query.name || translator(locale).t(`live.${live.query.source}`)} ${new Date().toLocaleTimeString(locale)}`;
    this.#switch(() => this.#searcher.withFiles([new File([frame], name, { type: frame.type })], kept));
  }

  /** Ends it; a frozen frame stays what is searched with. */
  end() {
    const { live } = this.#store.state;
    if (!live) return;
    if (live.isFrozen) this.#letGo();
    else this.#searcher.clear();
    this.#store.update({ live: null });
  }

  /** @param {AbortSignal} signal */
  async #ask(signal) {
    const { state } = this.#store;
    const file = await /** @type {Source} */ (this.#source).frame(state.crop, SHORTEST_PX.asked);
    const params = paramsOf(state, state.query, { topK: Math.min(state.topK, MOST_RESULTS) });
    const patience = AbortSignal.timeout(PATIENCE_MS);
    return this.#api.search(params, { file, raw: true, signal: AbortSignal.any([signal, patience]) });
  }

  /**
   * @param {Answer<SearchAnswer>} answer
   * @param {{rate: number, latencyMs: number}} pace
   */
  #show({ body, roundTripMs }, pace) {
    const { live } = this.#store.state;
    // Nothing close comes and goes with each frame: here the nearest are always shown, and said not to be close.
    const search = { ...IDLE_SEARCH, phase: /** @type {const} */ ("done"), results: body.results, answer: body, roundTripMs, showNearest: true };
    this.#store.update({ search, live: live && { ...live, ...pace } });
  }

  /** @param {unknown} error @returns {number} milliseconds to wait */
  #fail(error) {
    const known = error instanceof ApiError ? error : new ApiError({ status: 200, code: "unexpected" });
    // The service asks for a slower pace: that is no failure of a search that may drop frames.
    if (known.status === 429) return 1000 * (known.retryAfterS ?? 1);
    this.#searcher.fail(known);
    return 0;
  }

  /**
   * Runs while its query is the page's, the page is seen, nothing covers the results and the service answers.
   * @param {Readonly<State>} state
   */
  #follow(state) {
    if (this.#isSwitching || !this.#source) return;
    if (state.query !== this.#held) {
      this.#letGo();
      this.#store.update({ live: null });
      return;
    }
    const { phase } = state.search;
    const answers = phase === "loading" || phase === "done";
    if (state.live?.isFrozen || state.viewed || !answers || document.visibilityState !== "visible") {
      this.#pump.stop();
      this.#source.pause();
      return;
    }
    if (phase === "loading") this.#source.touch();
    this.#source.goOn();
    this.#pump.start();
  }

  /** @param {() => void} change of the query, which goes on being this one's */
  #switch(change) {
    this.#isSwitching = true;
    change();
    this.#isSwitching = false;
    this.#held = this.#store.state.query;
    this.#follow(this.#store.state);
  }

  /** @param {LiveKind} kind */
  #lost(kind) {
    this.end();
    this.#store.update({ hint: { key: kind === "screen" ? "live.lost.screen" : "live.lost.camera", tone: "info" } });
  }

  #letGo() {
    this.#pump.stop();
    this.#source?.stop();
    this.#source = null;
    this.#held = null;
  }
}
