// @ts-check
/** @import {Api} from "./api.js" */
/** @import {Store} from "./store.js" */
/** @import {FileQuery, Row} from "./types.js" */
import { ApiError, isAbort } from "./api.js";
import { ask, paramsOf } from "./request.js";

const ROW_LENGTH = 20;

/** Searches with several pictures, one after the other, each into a row of its own. */
export class Rows {
  #api;
  #store;
  #onRefused;
  /** @type {AbortController | null} */
  #running = null;

  /** @param {{api: Api, store: Store, onRefused: (error: ApiError) => void}} parts `onRefused`: no picture would do better */
  constructor({ api, store, onRefused }) {
    this.#api = api;
    this.#store = store;
    this.#onRefused = onRefused;
  }

  /** @param {readonly FileQuery[]} queries */
  async run(queries) {
    this.stop();
    const running = new AbortController();
    this.#running = running;
    this.#store.update({ rows: queries.map((query) => ({ query, phase: "loading", results: [], error: null })) });
    for (const [place, query] of queries.entries()) {
      /** @type {Partial<Row>} */
      let outcome;
      try {
        const params = paramsOf(this.#store.state, query, { topK: ROW_LENGTH });
        const { body } = await ask(this.#api, { query, crop: null, token: null, params }, running.signal);
        outcome = { phase: "done", results: body.results };
      } catch (thrown) {
        if (isAbort(thrown) || this.#running !== running) return;
        const error = thrown instanceof ApiError ? thrown : new ApiError({ status: 200, code: "unexpected" });
        if (error.status === 401 || error.isAway) return this.#onRefused(error);
        outcome = { phase: "error", error };
      }
      if (this.#running !== running) return;
      const { rows } = this.#store.state;
      this.#store.update({ rows: rows.map((row, index) => (index === place ? { ...row, ...outcome } : row)) });
    }
  }

  stop() {
    this.#running?.abort();
    this.#running = null;
  }
}
