// @ts-check
/** @import {Store} from "../store.js" */
/** @import {Limits, StoredImage, Upload} from "../types.js" */
/** @import {Calls} from "./calls.js" */
/** @import {Gate} from "./gate.js" */
import { ApiError, isAbort } from "../api.js";
import { pick, tooLarge } from "../inputs.js";
import { failureOf } from "./library.js";

const AT_ONCE = 3;
const PAUSE_S = 2;

/** Adds pictures one by one, a few at a time, and keeps what became of each. */
export class Uploads {
  #calls;
  #store;
  #gate;
  #onAdded;
  #onEnd;
  /** @type {AbortController | null} */
  #running = null;

  /**
   * @param {{calls: Calls, store: Store, gate: Gate, onAdded: (image: StoredImage) => void, onEnd: () => void}} parts
   */
  constructor({ calls, store, gate, onAdded, onEnd }) {
    this.#calls = calls;
    this.#store = store;
    this.#gate = gate;
    this.#onAdded = onAdded;
    this.#onEnd = onEnd;
  }

  /** @param {readonly File[]} files */
  files(files) {
    const limits = this.#store.state.service.status?.limits;
    const { collection } = this.#store.state;
    return this.#add(files.map((file) => ({ ...uploadOf(file, limits), collection })));
  }

  /** @param {string} url */
  address(url) {
    return this.#add([{ ...WAITING, name: url, url, collection: this.#store.state.collection }]);
  }

  /** What failed or was stopped, once more. */
  again() {
    this.#change((one) => (isOpen(one) ? { ...one, phase: "waiting", error: null } : one));
    return this.#run();
  }

  stop() {
    this.#running?.abort();
    this.#change((one) => (one.phase === "waiting" ? { ...one, phase: "stopped" } : one));
  }

  /** Forgets what became of them. */
  clear() {
    if (!this.#running) this.#store.updateLibrary({ uploads: [] });
  }

  /** @param {Upload[]} more */
  #add(more) {
    if (!more.length) return Promise.resolve();
    this.#store.updateLibrary({ uploads: [...this.#store.state.library.uploads, ...more] });
    return this.#run();
  }

  async #run() {
    if (this.#running || this.#waiting() < 0) return;
    const running = new AbortController();
    this.#running = running;
    this.#store.updateLibrary({ uploading: true });
    // What is added while the last ones end is waited for by none of the workers.
    while (this.#waiting() >= 0) {
      await Promise.all(Array.from({ length: AT_ONCE }, () => this.#work(running.signal)));
    }
    this.#running = null;
    this.#store.updateLibrary({ uploading: false });
    this.#onEnd();
  }

  /** @param {AbortSignal} signal */
  async #work(signal) {
    for (let place = this.#waiting(); place >= 0; place = this.#waiting()) {
      this.#set(place, { phase: "sending" });
      const upload = this.#store.state.library.uploads[place];
      // Into the collection that was shown when it was given, whichever is shown now.
      const calls = this.#calls.of(upload.collection);
      try {
        const { status, ...image } = await this.#gate.through("admin", () => this.#calm(() => calls.insert(upload, { signal }), signal));
        this.#set(place, { phase: status, image });
        if (upload.collection === this.#store.state.collection) this.#onAdded(image);
      } catch (error) {
        if (isAbort(error)) {
          this.#set(place, { phase: "stopped" });
          // Without a key the others have no better luck.
          this.stop();
        } else {
          this.#set(place, { phase: "failed", error: failureOf(error) });
        }
      }
    }
  }

  /**
   * `work`, as slowly as the service wants it.
   * @template T
   * @param {() => Promise<T>} work
   * @param {AbortSignal} signal
   */
  async #calm(work, signal) {
    for (;;) {
      signal.throwIfAborted();
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof ApiError) || error.status !== 429) throw error;
        await pause((error.retryAfterS ?? PAUSE_S) * 1000, signal);
      }
    }
  }

  #waiting() {
    return this.#store.state.library.uploads.findIndex(({ phase }) => phase === "waiting");
  }

  /**
   * @param {number} place
   * @param {Partial<Upload>} change
   */
  #set(place, change) {
    this.#change((one, at) => (at === place ? { ...one, ...change } : one));
  }

  /** @param {(one: Upload, at: number) => Upload} change */
  #change(change) {
    this.#store.updateLibrary({ uploads: this.#store.state.library.uploads.map(change) });
  }
}

/** @type {Readonly<Upload>} */
const WAITING = Object.freeze({ name: "", file: null, url: "", collection: "", phase: "waiting", error: null, hint: null, image: null });

/**
 * @param {File} file
 * @param {Limits | undefined} limits
 * @returns {Upload} failed already where the service would only refuse it
 */
function uploadOf(file, limits) {
  const hint = pick([file], limits).hint ?? tooLarge(file, limits);
  return { ...WAITING, name: file.name, file, phase: hint ? "failed" : "waiting", hint };
}

/** It did not come in, and may yet. @param {Upload} upload */
export function isOpen({ phase, hint }) {
  return (phase === "failed" || phase === "stopped") && !hint;
}

/**
 * @param {number} ms
 * @param {AbortSignal} signal
 */
function pause(ms, signal) {
  return /** @type {Promise<void>} */ (
    new Promise((resolve, reject) => {
      const stop = () => {
        clearTimeout(timer);
        reject(signal.reason);
      };
      const timer = setTimeout(() => {
        signal.removeEventListener("abort", stop);
        resolve();
      }, ms);
      signal.addEventListener("abort", stop, { once: true });
    })
  );
}
