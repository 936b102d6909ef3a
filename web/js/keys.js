// @ts-check

const STORAGE_KEY = "image-search.key";

/** The search key, for this tab's session only; kept in memory alone where the browser forbids storage. */
export class SessionKey {
  /** @type {Storage | null} */
  #storage;
  /** @type {string | null} */
  #value = null;

  /** @param {() => Storage} storage may throw: browsers do where storage is switched off */
  constructor(storage) {
    try {
      this.#storage = storage();
      this.#value = this.#storage.getItem(STORAGE_KEY);
    } catch {
      this.#storage = null;
    }
  }

  /** @returns {string | null} */
  get() {
    return this.#value;
  }

  /** @param {string | null} value null forgets it */
  set(value) {
    this.#value = value || null;
    try {
      if (this.#value) this.#storage?.setItem(STORAGE_KEY, this.#value);
      else this.#storage?.removeItem(STORAGE_KEY);
    } catch {
      this.#storage = null;
    }
  }
}
