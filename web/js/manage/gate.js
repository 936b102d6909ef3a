// @ts-check
/** @import {Role} from "../api.js" */
/** @import {SessionKey} from "../keys.js" */
/** @import {Store} from "../store.js" */
/** @import {State} from "../types.js" */
import { ApiError } from "../api.js";

/** Asks for a key where the work wants one, once for all that waits for it. */
export class Gate {
  #store;
  #keys;
  #held;
  /** @type {Promise<void> | null} */
  #asking = null;
  /** @type {{resolve: () => void, reject: (why: unknown) => void}} */
  #answer = { resolve() {}, reject() {} };

  /** @param {{store: Store, keys: Record<Role, SessionKey>, held: () => Partial<State>}} parts */
  constructor({ store, keys, held }) {
    this.#store = store;
    this.#keys = keys;
    this.#held = held;
  }

  /**
   * What `work` brings; rejects as aborted where the user gives no key.
   * @template T
   * @param {Role} role
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  async through(role, work) {
    for (;;) {
      const key = this.#keys[role].get();
      if (role === "admin" && !key) {
        await this.#ask(role, false);
        continue;
      }
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof ApiError) || (error.status !== 401 && error.status !== 403)) throw error;
        // Another request may have been told before, and the user has given a better one since.
        if (this.#keys[role].get() === key) await this.#ask(role, key !== null);
      }
    }
  }

  /** @param {string} key */
  give(key) {
    const { asks } = this.#store.state.library;
    if (!asks) return;
    this.#keys[asks.role].set(key);
    this.#close();
    this.#answer.resolve();
  }

  cancel() {
    if (!this.#asking) return;
    this.#close();
    this.#answer.reject(new DOMException("no key was given", "AbortError"));
  }

  /**
   * @param {Role} role
   * @param {boolean} refused
   */
  #ask(role, refused) {
    if (refused) this.#keys[role].set(null);
    this.#asking ??= new Promise((resolve, reject) => {
      this.#answer = { resolve, reject };
      this.#show({ role, refused });
    });
    return this.#asking;
  }

  #close() {
    this.#asking = null;
    this.#show(null);
  }

  /** @param {State["library"]["asks"]} asks */
  #show(asks) {
    this.#store.update({ ...this.#held(), library: { ...this.#store.state.library, asks } });
  }
}
