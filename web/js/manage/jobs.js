// @ts-check
/** @import {Store} from "../store.js" */
/** @import {Job, JobFailure, LibraryState} from "../types.js" */
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

/**
 * Where a panel keeps what it watches.
 * @typedef {{open: boolean, job: Job | null, error: import("../api.js").ApiError | null, failures: JobFailure[] | null}} Watched
 * @typedef {{kind: string, read: (library: LibraryState) => Watched, write: (change: Partial<Watched>, library: LibraryState) => Partial<LibraryState>}} Panel
 */

/** @type {Panel} */
const INDEX = {
  kind: "rebuild",
  read: ({ indexing: open, job, jobError: error, failures }) => ({ open, job, error, failures }),
  write: ({ open, job, error, failures }) => ({
    ...(open === undefined ? {} : { indexing: open }),
    ...(job === undefined ? {} : { job }),
    ...(error === undefined ? {} : { jobError: error }),
    ...(failures === undefined ? {} : { failures }),
  }),
};

/** @type {Panel} */
export const IMPORTS = {
  kind: "import",
  read: ({ vectors }) => vectors,
  write: (change, { vectors }) => ({ vectors: { ...vectors, ...(change.job === undefined ? {} : { isPast: false }), ...change } }),
};

/** Starts jobs of a kind, and watches the newest one while its panel is open. */
export class Jobs {
  #calls;
  #store;
  #gate;
  #onEnd;
  #pollMs;
  #panel;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {{calls: Calls, store: Store, gate: Gate, onEnd: () => void, pollMs?: number, panel?: Panel}} parts */
  constructor({ calls, store, gate, onEnd, pollMs = POLL_MS, panel = INDEX }) {
    this.#calls = calls;
    this.#store = store;
    this.#gate = gate;
    this.#onEnd = onEnd;
    this.#pollMs = pollMs;
    this.#panel = panel;
  }

  get #state() {
    return this.#panel.read(this.#store.state.library);
  }

  /** @param {Partial<Watched>} change */
  #update(change) {
    this.#store.updateLibrary(this.#panel.write(change, this.#store.state.library));
  }

  /** Shows the newest job of its kind. */
  open() {
    this.#update({ open: true });
    return this.#take(() => this.#calls.newestJob(this.#panel.kind));
  }

  close() {
    clearTimeout(this.#timer);
    this.#update({ open: false, error: null });
  }

  /** @param {string} projection "": as it is */
  start(projection) {
    return this.#take(() => this.#calls.index(projection));
  }

  /** Watches the job that `work` begins. @param {() => Promise<Job>} work */
  begin(work) {
    return this.#take(work);
  }

  cancel() {
    return this.#take((id) => this.#calls.cancel(id));
  }

  retry() {
    return this.#take((id) => this.#calls.retry(id));
  }

  /** Asks what the job could not do. */
  async failures() {
    const id = this.#state.job?.id;
    if (!id) return;
    try {
      const failures = await this.#gate.through("admin", () => this.#calls.failures(id));
      if (this.#state.job?.id === id) this.#update({ failures });
    } catch (error) {
      if (!isAbort(error)) this.#update({ error: failureOf(error) });
    }
  }

  /** @param {(id: string) => Promise<Job | null>} work brings the job to watch */
  async #take(work) {
    clearTimeout(this.#timer);
    this.#update({ error: null });
    try {
      this.#watch(await this.#gate.through("admin", () => work(this.#state.job?.id ?? "")));
    } catch (error) {
      if (isAbort(error)) this.#watch(this.#state.job);
      else this.#update({ error: failureOf(error) });
    }
  }

  /** @param {Job | null} job */
  #watch(job) {
    const { job: before, open } = this.#state;
    const isOther = before?.id !== job?.id;
    this.#update({ job, error: null, ...(isOther ? { failures: null } : {}) });
    if (!isOther && isActive(before) && !isActive(job)) this.#onEnd();
    clearTimeout(this.#timer);
    if (open && job && isActive(job)) this.#timer = setTimeout(() => void this.#poll(job.id), this.#pollMs);
  }

  /** @param {string} id */
  async #poll(id) {
    try {
      const job = await this.#gate.through("admin", () => this.#calls.job(id));
      if (this.#state.job?.id === id) this.#watch(job);
    } catch (error) {
      if (isAbort(error)) return;
      const failure = failureOf(error);
      this.#update({ error: failure });
      if (failure.isAway && this.#state.open) this.#timer = setTimeout(() => void this.#poll(id), AWAY_MS);
    }
  }
}
