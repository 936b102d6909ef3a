// @ts-check

/** A key, for this tab's session only; kept in memory alone where the browser forbids storage. */
export class SessionKey {
  #name;
  /** @type {Storage | null} */
  #storage;
  /** @type {string | null} */
  #value = null;

  /**
   * @param {() => Storage} storage may throw: browsers do where storage is switched off
   * @param {string} [name]
   */
  constructor(storage, name = "image-search.key") {
    this.#name = name;
    try {
      this.#storage = storage();
      this.#value = this.#storage.getItem(this.#name);
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
      if (this.#value) this.#storage?.setItem(this.#name, this.#value);
      else this.#storage?.removeItem(this.#name);
    } catch {
      this.#storage = null;
    }
  }
}
