// @ts-check
/** @import {Api} from "./api.js" */
/** @import {Store} from "./store.js" */
/** @import {ServicePhase, ServiceStatus} from "./types.js" */
import { ApiError } from "./api.js";

const CALM_MS = 30_000;
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;
const PATIENCE_MS = 10_000;
const RETURNED_SHOWN_MS = 5_000;

/**
 * How long to wait after the n-th failure in a row (from 1): doubling, bounded, never below what the service asked for.
 * @param {number} failures
 * @param {number | null} [retryAfterS]
 */
export function retryDelayMs(failures, retryAfterS = null) {
  const doubled = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.max(0, failures - 1));
  return Math.max(doubled, Math.min(LONGEST_RETRY_MS, (retryAfterS ?? 0) * 1000));
}

/** Watches the service: asks calmly while it answers, with growing pauses while it does not. */
export class Monitor {
  #api;
  #store;
  #onReturn;
  #failures = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #returnedTimer;
  /** @type {Promise<void> | null} */
  #checking = null;

  /** @param {{api: Api, store: Store, onReturn: () => void}} parts `onReturn`: it was away and can search again */
  constructor({ api, store, onReturn }) {
    this.#api = api;
    this.#store = store;
    this.#onReturn = onReturn;
  }

  /** Asks now, and goes on asking. Calls during a check share its outcome. */
  check() {
    clearTimeout(this.#timer);
    this.#checking ??= this.#ask().finally(() => {
      this.#checking = null;
    });
    return this.#checking;
  }

  stop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#returnedTimer);
  }

  async #ask() {
    const silence = new AbortController();
    const patience = setTimeout(() => silence.abort(new DOMException("no answer", "TimeoutError")), PATIENCE_MS);
    const { signal } = silence;
    const [ready, status] = await Promise.allSettled([this.#api.ready({ signal }), this.#api.status({ signal })]);
    // Where the page has read an answer before, it is not the browser that keeps it from another.
    const wasHeard = this.#store.state.service.status !== null;
    const barred = !wasHeard && isSilence(ready) && isSilence(status) && (await this.#api.isBarred({ signal }));
    clearTimeout(patience);

    const heard = status.status === "fulfilled" ? status.value : null;
    const phase = phaseOf(ready.status === "rejected" ? ready.reason : null, heard);
    const reason = ready.status === "rejected" ? ready.reason : null;
    const retryAfterS = reason instanceof ApiError ? reason.retryAfterS : null;
    this.#failures = phase === "ready" ? 0 : this.#failures + 1;
    this.#announce(phase, heard, barred);
    clearTimeout(this.#timer);
    const delay = phase === "ready" ? CALM_MS : retryDelayMs(this.#failures, retryAfterS);
    this.#timer = setTimeout(() => void this.check(), delay);
  }

  /**
   * @param {ServicePhase} phase
   * @param {ServiceStatus | null} heard
   * @param {boolean} barred
   */
  #announce(phase, heard, barred) {
    const { service } = this.#store.state;
    const wasDown = service.phase === "away" || service.phase === "warming";
    const isBack = wasDown && phase === "ready";
    const returned = phase === "ready" && (isBack || service.returned);
    const status = heard ?? service.status;
    const isSame = service.phase === phase && service.returned === returned && !!service.barred === barred;
    if (!isSame || !sameStatus(service.status, status)) {
      this.#store.update({ service: { phase, status, returned, ...(barred && { barred }) } });
    }
    if (!isBack) return;
    clearTimeout(this.#returnedTimer);
    this.#returnedTimer = setTimeout(() => {
      this.#store.update({ service: { ...this.#store.state.service, returned: false } });
    }, RETURNED_SHOWN_MS);
    this.#onReturn();
  }
}

/** No answer came, nor was it only late. @param {PromiseSettledResult<unknown>} outcome */
function isSilence(outcome) {
  return outcome.status === "rejected" && outcome.reason instanceof ApiError && outcome.reason.code === "network";
}

/**
 * @param {unknown} notReady
 * @param {ServiceStatus | null} status
 * @returns {ServicePhase}
 */
function phaseOf(notReady, status) {
  if (!notReady) return status ? "ready" : "away";
  if (notReady instanceof ApiError) {
    // A bare 503 comes from a proxy before a dead service; a living one says when to ask again.
    if (notReady.status === 503 && (status || notReady.retryAfterS !== null)) return "warming";
    // An older service, or a proxy that does not pass /readyz on: its status is then the word to go by.
    if (notReady.status === 404 && status) return "ready";
  }
  return "away";
}

/**
 * @param {ServiceStatus | null} before
 * @param {ServiceStatus | null} now
 */
function sameStatus(before, now) {
  // Unequal text only costs a rendering; the service writes its keys in a fixed order.
  return before === now || JSON.stringify(before) === JSON.stringify(now);
}
