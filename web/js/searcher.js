// @ts-check
/** @import {Api, Answer} from "./api.js" */
/** @import {Store} from "./store.js" */
/** @import {Query, SearchAnswer, SearchResult} from "./types.js" */
import { ApiError, isAbort } from "./api.js";
import { displayName } from "./format.js";
import { IDLE_SEARCH } from "./store.js";

/** Runs searches one at a time: a new one aborts the old, whose late answer is dropped. */
export class Searcher {
  #api;
  #store;
  #onAway;
  /** @type {AbortController | null} */
  #running = null;

  /** @param {{api: Api, store: Store, onAway: () => void}} parts `onAway`: a request found no service */
  constructor({ api, store, onAway }) {
    this.#api = api;
    this.#store = store;
    this.#onAway = onAway;
  }

  /** @param {Blob & {name?: string}} file */
  withFile(file) {
    this.#begin({ kind: "file", file, name: file.name || "", previewUrl: URL.createObjectURL(file) });
  }

  /** @param {SearchResult} result */
  withResult(result) {
    this.#begin({
      kind: "stored",
      imageId: result.id,
      name: displayName(result),
      previewUrl: result.thumbnail_url,
      fullUrl: result.url,
      width: result.width,
      height: result.height,
    });
  }

  /** The same query once more: after an error, a new key, another number of results. */
  async again() {
    const { query, topK } = this.#store.state;
    if (!query) return;
    this.#store.update({ search: { ...IDLE_SEARCH, phase: "loading" } });
    await this.#run(query, { top_k: topK, offset: 0 }, ({ body, roundTripMs }) => {
      this.#store.update({
        search: { ...IDLE_SEARCH, phase: "done", results: body.results, answer: body, roundTripMs },
      });
    });
  }

  async more() {
    const { query, search } = this.#store.state;
    const page = search.answer?.page;
    if (!query || !page?.has_more || search.loadingMore || search.phase !== "done") return;
    this.#store.updateSearch({ loadingMore: true, error: null });
    const params = { top_k: page.top_k, offset: page.offset + page.returned };
    await this.#run(query, params, ({ body }) => {
      // The timings stay those of the first page: that is the search people timed.
      const { results, answer } = this.#store.state.search;
      // A picture inserted meanwhile shifts the pages: the same id may come twice.
      const known = new Set(results.map((result) => result.id));
      this.#store.updateSearch({
        loadingMore: false,
        results: [...results, ...body.results.filter((result) => !known.has(result.id))],
        answer: answer && { ...answer, page: body.page },
      });
    });
  }

  /** @param {number} topK */
  setTopK(topK) {
    if (topK === this.#store.state.topK) return;
    this.#store.update({ topK });
    void this.again();
  }

  /** Goes on where the service's absence stopped it. */
  resume() {
    const { search } = this.#store.state;
    if (search.phase === "error" && search.error?.isAway) void this.again();
  }

  clear() {
    this.#running?.abort();
    this.#running = null;
    this.#release();
    this.#store.update({ query: null, search: IDLE_SEARCH, hint: null });
  }

  /** @param {Query} query */
  #begin(query) {
    this.#release();
    this.#store.update({ query, hint: null });
    void this.again();
  }

  #release() {
    const { query } = this.#store.state;
    if (query?.kind === "file") URL.revokeObjectURL(query.previewUrl);
  }

  /**
   * @param {Query} query
   * @param {{top_k: number, offset: number}} params
   * @param {(answer: Answer<SearchAnswer>) => void} accept
   */
  async #run(query, params, accept) {
    this.#running?.abort();
    const running = new AbortController();
    this.#running = running;
    const { signal } = running;
    try {
      const answer =
        query.kind === "file"
          ? await this.#api.searchByFile(query.file, params, { signal, name: query.name || "query" })
          : await this.#api.searchByStored(query.imageId, params, { signal });
      if (this.#running === running) accept(answer);
    } catch (error) {
      if (isAbort(error) || this.#running !== running) return;
      this.#fail(error instanceof ApiError ? error : new ApiError({ status: 200, code: "unexpected" }));
    }
  }

  /** @param {ApiError} error */
  #fail(error) {
    const { search, hasKey } = this.#store.state;
    if (error.status === 401) {
      this.#store.update({ search: { ...IDLE_SEARCH, phase: "locked", error, keyRefused: hasKey } });
    } else if (search.phase === "done") {
      this.#store.updateSearch({ loadingMore: false, error });
    } else {
      this.#store.update({ search: { ...IDLE_SEARCH, phase: "error", error } });
    }
    if (error.isAway) this.#onAway();
  }
}
