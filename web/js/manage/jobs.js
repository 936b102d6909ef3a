// @ts-check
/** @import {Store} from "../store.js" */
/** @import {Job} from "../types.js" */
/** @import {Calls} from "./calls.js" */
/** @import {Gate} from "./gate.js" */
import { isAbort } from "../api.js";
import { failureOf } from "./library.js";

const POLL_MS = 1_000;
const AWAY_MS = 5_000;

/** @param {Job | null} job */
export function isActive(job) {
  return job?.state === "queued" || job?.state === "running";
}

/** Starts indexing, and watches the newest job while its panel is open. */
export class Jobs {
  #calls;
  #store;
  #gate;
  #onEnd;
  #pollMs;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {{calls: Calls, store: Store, gate: Gate, onEnd: () => void, pollMs?: number}} parts */
  constructor({ calls, store, gate, onEnd, pollMs = POLL_MS }) {
    this.#calls = calls;
    this.#store = store;
    this.#gate = gate;
    this.#onEnd = onEnd;
    this.#pollMs = pollMs;
  }

  /** Shows the newest job of all. */
  open() {
    this.#store.updateLibrary({ indexing: true });
    return this.#take(() => this.#calls.newestJob());
  }

  close() {
    clearTimeout(this.#timer);
    this.#store.updateLibrary({ indexing: false, jobError: null });
  }

  /** @param {string} projection "": as it is */
  start(projection) {
    return this.#take(() => this.#calls.index(projection));
  }

  cancel() {
    return this.#take((id) => this.#calls.cancel(id));
  }

  retry() {
    return this.#take((id) => this.#calls.retry(id));
  }

  /** Asks what the job could not do. */
  async failures() {
    const id = this.#store.state.library.job?.id;
    if (!id) return;
    try {
      const failures = await this.#gate.through("admin", () => this.#calls.failures(id));
      if (this.#store.state.library.job?.id === id) this.#store.updateLibrary({ failures });
    } catch (error) {
      if (!isAbort(error)) this.#store.updateLibrary({ jobError: failureOf(error) });
    }
  }

  /** @param {(id: string) => Promise<Job | null>} work brings the job to watch */
  async #take(work) {
    clearTimeout(this.#timer);
    this.#store.updateLibrary({ jobError: null });
    try {
      this.#watch(await this.#gate.through("admin", () => work(this.#store.state.library.job?.id ?? "")));
    } catch (error) {
      if (isAbort(error)) this.#watch(this.#store.state.library.job);
      else this.#store.updateLibrary({ jobError: failureOf(error) });
    }
  }

  /** @param {Job | null} job */
  #watch(job) {
    const { job: before, indexing } = this.#store.state.library;
    const isOther = before?.id !== job?.id;
    this.#store.updateLibrary({ job, jobError: null, ...(isOther ? { failures: null } : {}) });
    if (!isOther && isActive(before) && !isActive(job)) this.#onEnd();
    clearTimeout(this.#timer);
    if (indexing && job && isActive(job)) this.#timer = setTimeout(() => void this.#poll(job.id), this.#pollMs);
  }

  /** @param {string} id */
  async #poll(id) {
    try {
      const job = await this.#gate.through("admin", () => this.#calls.job(id));
      if (this.#store.state.library.job?.id === id) this.#watch(job);
    } catch (error) {
      if (isAbort(error)) return;
      const jobError = failureOf(error);
      this.#store.updateLibrary({ jobError });
      if (jobError.isAway && this.#store.state.library.indexing) this.#timer = setTimeout(() => void this.#poll(id), AWAY_MS);
    }
  }
}
