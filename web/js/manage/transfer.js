// @ts-check
/** @import {Store} from "../store.js" */
/** @import {VectorsState} from "../types.js" */
/** @import {Calls} from "./calls.js" */
/** @import {Gate} from "./gate.js" */
/** @import {Jobs} from "./jobs.js" */
import { ApiError, isAbort } from "../api.js";
import { failureOf } from "./library.js";

/** Takes the collection's vectors away as a file, and brings those of a file in. */
export class Transfer {
  #calls;
  #store;
  #gate;
  #jobs;
  #follow;
  /** @type {AbortController | null} */
  #sending = null;

  /**
   * @param {{calls: Calls, store: Store, gate: Gate, jobs: Jobs, follow: (url: string) => void}} parts `jobs`: watches
   *   imports; `follow`: has the browser fetch a file
   */
  constructor({ calls, store, gate, jobs, follow }) {
    this.#calls = calls;
    this.#store = store;
    this.#gate = gate;
    this.#jobs = jobs;
    this.#follow = follow;
  }

  /** The browser itself fetches the file: it may be larger than a page can hold. */
  async take() {
    this.#update({ error: null });
    try {
      this.#follow(await this.#gate.through("admin", () => this.#calls.exportLink()));
    } catch (error) {
      if (!isAbort(error)) this.#update({ error: failureOf(error) });
    }
  }

  /**
   * @param {File} file
   * @param {string} collection
   */
  async bring(file, collection) {
    if (this.#sending) return;
    const most = this.#store.state.service.status?.limits?.max_import_bytes ?? Infinity;
    if (file.size > most || !file.size) {
      this.#update({ error: new ApiError({ status: file.size ? 413 : 422, code: "not_sent", title: file.name }), isPast: true });
      return;
    }
    const sending = new AbortController();
    this.#sending = sending;
    const begun = { name: file.name, sentBytes: 0, sizeBytes: file.size };
    await this.#jobs.begin(async () => {
      this.#update({ sending: begun, isPast: true });
      try {
        return await this.#calls.importVectors(file, collection, {
          onProgress: (sentBytes) => this.#update({ sending: { ...begun, sentBytes } }),
          signal: sending.signal,
        });
      } finally {
        this.#update({ sending: null });
      }
    });
    this.#sending = null;
  }

  /** Ends the sending, or else the job. */
  cancel() {
    if (this.#sending) this.#sending.abort();
    else void this.#jobs.cancel();
  }

  /** @param {Partial<VectorsState>} change */
  #update(change) {
    this.#store.updateLibrary({ vectors: { ...this.#store.state.library.vectors, ...change } });
  }
}
