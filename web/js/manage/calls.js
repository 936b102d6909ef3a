// @ts-check
/** @import {Answer, Api, Role} from "../api.js" */
/** @import {DeletedImage, Job, JobFailure, StoredImage} from "../types.js" */

import { sendFile } from "./sending.js";

/** @typedef {{signal?: AbortSignal}} Options */
/** @typedef {Record<string, string | number | boolean | null>} Fields */
/** @typedef {{title?: string, tags?: string[], text?: string, source_url?: string, fields?: Fields}} Changes */

/** What the service is asked to manage the library. */
export class Calls {
  #api;

  /** @param {Api} api */
  constructor(api) {
    this.#api = api;
  }

  /** The same of one collection, whichever is shown meanwhile. @param {string} collection */
  of(collection) {
    return new Calls(this.#api.of(collection));
  }

  /** @param {string} id */
  image(id) {
    return /** @type {Promise<StoredImage>} */ (this.#get(`/images/${id}`, {}));
  }

  /**
   * Pictures in order of their ids or newest first, a page of them.
   * @param {{limit: number, cursor?: string | null, order?: "newest"}} asked
   * @param {Options} [options]
   */
  list(asked, options) {
    return /** @type {Promise<{images: StoredImage[], next: string | null}>} */ (this.#get("/images", asked, options));
  }

  /**
   * @param {number} n
   * @param {Options} [options]
   */
  random(n, options) {
    return /** @type {Promise<{images: StoredImage[]}>} */ (this.#get("/images/random", { n }, options));
  }

  /**
   * @param {{limit: number, cursor?: string | null}} asked
   * @param {Options} [options]
   */
  deleted(asked, options) {
    const found = this.#get("/images/deleted", asked, options, "admin");
    return /** @type {Promise<{images: DeletedImage[], next: string | null}>} */ (found);
  }

  /**
   * @param {{file: File | null, url: string, name: string}} picture
   * @param {Options} [options]
   */
  insert({ file, url, name }, { signal } = {}) {
    /** @type {string | FormData} */
    let body = JSON.stringify({ image_url: url });
    if (file) {
      body = new FormData();
      body.append("image", file, name);
    }
    const made = this.#send("/insert", "POST", body, signal);
    return /** @type {Promise<StoredImage & {status: "created" | "duplicate"}>} */ (made);
  }

  /**
   * @param {string} id
   * @param {Changes} changes
   */
  update(id, changes) {
    return /** @type {Promise<StoredImage>} */ (this.#send(`/images/${id}`, "PATCH", JSON.stringify(changes)));
  }

  /** @param {string} id */
  remove(id) {
    return this.#send(`/images/${id}`, "DELETE");
  }

  /** Its files too, also out of the trash. @param {string} id */
  destroy(id) {
    return this.#send(`/images/${id}?permanently=true`, "DELETE");
  }

  /** @param {string} id */
  restore(id) {
    return /** @type {Promise<StoredImage>} */ (this.#send(`/images/${id}/restore`, "POST"));
  }

  /** @param {string} projection "": as it is */
  async index(projection) {
    return this.#job(this.#send("/indexing", "POST", JSON.stringify(projection ? { projection } : {})));
  }

  /** @param {string} id */
  retry(id) {
    return this.#job(this.#send(`/jobs/${id}/retry`, "POST"));
  }

  /** @param {string} id */
  cancel(id) {
    return /** @type {Promise<Job>} */ (this.#send(`/jobs/${id}/cancel`, "POST"));
  }

  /** @param {string} id */
  job(id) {
    return /** @type {Promise<Job>} */ (this.#get(`/jobs/${id}`, {}, {}, "admin"));
  }

  /** The newest of a kind among the last ones. @param {string} kind @returns {Promise<Job | null>} */
  async newestJob(kind) {
    const { jobs } = /** @type {{jobs: Job[]}} */ (await this.#get("/jobs", { limit: 100 }, {}, "admin"));
    return jobs.find((job) => job.kind === kind) ?? null;
  }

  /** Where a browser fetches the collection's vectors from, for some minutes. */
  async exportLink() {
    return /** @type {{url: string}} */ (await this.#send("/export", "POST")).url;
  }

  /**
   * @param {File} file
   * @param {string} collection
   * @param {{onProgress: (sentBytes: number) => void, signal: AbortSignal}} options
   */
  importVectors(file, collection, options) {
    const asked = new URLSearchParams({ collection, name: file.name });
    return this.#job(sendFile(this.#api, `/import?${asked}`, file, { type: "application/x-hdf5", ...options }));
  }

  /** The first of them. @param {string} id */
  async failures(id) {
    const found = await this.#get(`/jobs/${id}/failures`, { limit: 100 }, {}, "admin");
    return /** @type {{failures: JobFailure[]}} */ (found).failures;
  }

  /** @param {Promise<unknown>} started */
  async #job(started) {
    return /** @type {{job: Job}} */ (await started).job;
  }

  /**
   * @param {string} path
   * @param {Record<string, unknown>} asked
   * @param {Options} [options]
   * @param {Role} [role]
   * @returns {Promise<unknown>}
   */
  async #get(path, asked, { signal } = {}, role = "user") {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(asked)) {
      if (value) query.set(name, typeof value === "object" ? JSON.stringify(value) : String(value));
    }
    const init = { signal, cache: /** @type {const} */ ("no-store") };
    return this.#body(this.#api.call(query.size ? `${path}?${query}` : path, init, role));
  }

  /**
   * @param {string} path
   * @param {string} method
   * @param {string | FormData} [body]
   * @param {AbortSignal} [signal]
   */
  #send(path, method, body, signal) {
    const headers = typeof body === "string" ? { "Content-Type": "application/json" } : undefined;
    return this.#body(this.#api.call(path, { method, body, headers, signal }, "admin"));
  }

  /** @param {Promise<Answer<unknown>>} asked */
  async #body(asked) {
    return (await asked).body;
  }
}
