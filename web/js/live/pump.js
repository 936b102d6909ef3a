// @ts-check

const WINDOW_MS = 3_000;

/** How many answers came in a second, over the last three. */
export class Pace {
  /** @type {number[]} */
  #times = [];

  /**
   * Counts an answer.
   * @param {number} now in milliseconds
   * @returns {number} answers a second; 0 until there are two to tell from
   */
  tick(now) {
    this.#times = [...this.#times.filter((time) => time >= now - WINDOW_MS), now];
    const spanMs = now - this.#times[0];
    return spanMs > 0 ? ((this.#times.length - 1) * 1000) / spanMs : 0;
  }
}

/**
 * Asks about the newest frame, one request at a time: what is shown meanwhile is dropped, never queued.
 * @template A
 */
export class Pump {
  #parts;
  #pace = new Pace();
  /** @type {AbortController | null} */
  #running = null;

  /**
   * @param {object} parts
   * @param {(signal: AbortSignal) => Promise<void>} parts.fresh resolves as soon as there is a frame not yet asked about
   * @param {(signal: AbortSignal) => Promise<A>} parts.ask takes the newest frame and brings its answer
   * @param {(answer: A, pace: {rate: number, latencyMs: number}) => void} parts.onAnswer
   * @param {(error: unknown) => number} parts.onError says how many milliseconds to wait before the next one
   * @param {() => number} parts.now
   * @param {(ms: number) => Promise<void>} parts.wait
   */
  constructor(parts) {
    this.#parts = parts;
  }

  start() {
    if (this.#running) return;
    this.#running = new AbortController();
    void this.#run(this.#running.signal);
  }

  /** Ends it, and the request that is under way; a late answer is dropped. */
  stop() {
    this.#running?.abort();
    this.#running = null;
  }

  /** @param {AbortSignal} signal */
  async #run(signal) {
    const { fresh, ask, onAnswer, onError, now, wait } = this.#parts;
    while (!signal.aborted) {
      let waitMs = 0;
      try {
        await fresh(signal);
        const takenAt = now();
        const answer = await ask(signal);
        if (signal.aborted) return;
        onAnswer(answer, { rate: this.#pace.tick(now()), latencyMs: now() - takenAt });
      } catch (error) {
        if (signal.aborted) return;
        waitMs = onError(error);
      }
      if (waitMs) await wait(waitMs);
    }
  }
}
