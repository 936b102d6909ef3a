// @ts-check
/** @import {FieldError, Problem, SearchAnswer, ServiceStatus, StoredImage} from "./types.js" */

/** A request that brought no good answer. Status 0: no answer came at all; 200: one that is not understood. */
export class ApiError extends Error {
  /**
   * @param {{status: number, code: string, detail?: string, title?: string, errors?: FieldError[],
   *          requestId?: string, retryAfterS?: number | null}} what
   */
  constructor({ status, code, detail = "", title = "", errors = [], requestId = "", retryAfterS = null }) {
    super(detail || title || code);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.title = title;
    this.errors = errors;
    this.requestId = requestId;
    this.retryAfterS = retryAfterS;
  }

  /** The service cannot be reached or cannot answer now; the same request may succeed later. */
  get isAway() {
    // The service itself says so where another server did not give it a picture.
    return this.status === 0 || ([502, 503, 504].includes(this.status) && this.code !== "url_fetch_failed");
  }
}

const OPEN_PATHS = new Set(["/status", "/readyz"]);
/** Those that are about no collection, or name theirs. */
const OF_ALL = /^\/(readyz|jobs|collections)|[?&]collection=/;

/** The code of what asked for a collection that is not there. */
export const NO_COLLECTION = "collection_not_found";

/** @typedef {"user" | "admin"} Role whose key a request carries */

/** @param {unknown} error */
export function isAbort(error) {
  return error instanceof DOMException && error.name === "AbortError";
}

/**
 * @template T
 * @typedef {{body: T, roundTripMs: number}} Answer
 */

export class Api {
  #base;
  #key;
  #collection;

  /**
   * @param {{base: string, key: (role: Role) => string | null, collection?: () => string}} options asked anew for each
   *   request; no `collection`: the service's own choice
   */
  constructor({ base, key, collection = () => "" }) {
    this.#base = base.replace(/\/+$/, "");
    this.#key = key;
    this.#collection = collection;
  }

  /** The same of one collection, whichever is shown meanwhile. @param {string} collection "": the service's own choice */
  of(collection) {
    return new Api({ base: this.#base, key: this.#key, collection: () => collection });
  }

  /**
   * @param {Record<string, unknown>} params
   * @param {{file?: Blob | null, name?: string, raw?: boolean, signal?: AbortSignal}} [options] `file`: the query picture
   *   itself; `raw`: sent as it is, without a form around it, where the parameters fit into the address
   * @returns {Promise<Answer<SearchAnswer>>}
   */
  search(params, { file, name, raw = false, signal } = {}) {
    const json = JSON.stringify(params);
    if (!file) {
      const headers = { "Content-Type": "application/json" };
      return this.#request("/search", { method: "POST", headers, body: json, signal });
    }
    if (raw && Object.values(params).every((value) => typeof value !== "object")) {
      const query = new URLSearchParams(Object.entries(params).map(([field, value]) => [field, String(value)]));
      const headers = { "Content-Type": file.type };
      return this.#request(`/search?${query}`, { method: "POST", headers, body: file, signal });
    }
    const form = new FormData();
    form.append("image", file, name || "query");
    form.append("params", json);
    return this.#request("/search", { method: "POST", body: form, signal });
  }

  /**
   * @param {string} imageId
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<StoredImage>}
   */
  async image(imageId, { signal } = {}) {
    /** @type {Answer<StoredImage>} */
    const { body } = await this.#request(`/images/${encodeURIComponent(imageId)}`, { signal });
    return body;
  }

  /**
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<StoredImage[]>} one picture at random; none of an empty library
   */
  async random({ signal } = {}) {
    /** @type {Answer<{images: StoredImage[]}>} */
    const { body } = await this.#request("/images/random", { cache: "no-store", signal });
    return body.images;
  }

  /**
   * A stored picture itself.
   * @param {string} url as the service gave it: signed, so no key goes with it
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<Blob>}
   */
  async bytes(url, { signal } = {}) {
    const response = await heard(() => fetch(url, { signal, credentials: "omit" }), signal);
    if (!response.ok) throw problemOf(response, null);
    return heard(() => response.blob(), signal);
  }

  /**
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<ServiceStatus>}
   */
  async status({ signal } = {}) {
    /** @type {Answer<ServiceStatus>} */
    const { body } = await this.#request("/status", { cache: "no-store", signal });
    return body;
  }

  /**
   * Returns when the service is ready to search; throws ApiError (503, with retryAfterS) while it warms up.
   * @param {{signal?: AbortSignal}} [options]
   */
  async ready({ signal } = {}) {
    await this.#request("/readyz", { cache: "no-store", signal });
  }

  /**
   * Whether there is a service, of another origin than the page, whose answers the browser does not let the page read.
   * To be asked where nothing was heard: the browser tells no other difference to a service that is away.
   * @param {{signal?: AbortSignal}} [options]
   */
  async isBarred({ signal } = {}) {
    if (!this.#base) return false;
    try {
      await fetch(`${this.#base}/livez`, { mode: "no-cors", cache: "no-store", credentials: "omit", signal });
      return true;
    } catch {
      return false;
    }
  }

  /**
   * What a part of the page that is fetched later asks.
   * @param {string} path
   * @param {RequestInit} init
   * @param {Role} role
   * @returns {Promise<Answer<unknown>>}
   */
  call(path, init, role) {
    return this.#request(path, init, role);
  }

  /**
   * @template T
   * @param {string} path
   * @param {RequestInit} init
   * @param {Role} [role]
   * @returns {Promise<Answer<T>>}
   */
  async #request(path, init, role = "user") {
    const { url, headers } = this.prepared(path, init.headers, role);
    const startedAt = performance.now();
    const response = await heard(() => fetch(url, { ...init, headers, credentials: "omit" }), init.signal);
    const body = parsed(await heard(() => response.text(), init.signal));
    if (!response.ok) throw problemOf(response, body);
    if (body === undefined && path !== "/readyz") {
      throw new ApiError({ status: response.status, code: "not_json" });
    }
    return { body: /** @type {T} */ (body), roundTripMs: performance.now() - startedAt };
  }

  /**
   * Where a request goes, and with which headers.
   * @param {string} path
   * @param {HeadersInit | undefined} given
   * @param {Role} role
   */
  prepared(path, given, role) {
    const headers = new Headers(given);
    headers.set("Accept", "application/json");
    const key = OPEN_PATHS.has(path) ? null : this.#key(role);
    try {
      if (key) headers.set("X-API-Key", key);
    } catch {
      // A header carries Latin-1 only: a key typed in another script is refused here as the service would.
      throw new ApiError({ status: 401, code: "invalid_key" });
    }

    const collection = OF_ALL.test(path) ? "" : this.#collection();
    const asked = collection ? `${path}${path.includes("?") ? "&" : "?"}collection=${encodeURIComponent(collection)}` : path;
    return { url: this.#base + asked, headers };
  }
}

/**
 * What `call` brings; a network's failure as an ApiError.
 * @template T
 * @param {() => Promise<T>} call
 * @param {AbortSignal | null | undefined} signal
 */
export async function heard(call, signal) {
  try {
    return await call();
  } catch (error) {
    if (isAbort(error) || signal?.aborted) throw abortOf(signal, error);
    throw new ApiError({ status: 0, code: "network" });
  }
}

/**
 * @param {AbortSignal | null | undefined} signal
 * @param {unknown} error
 */
function abortOf(signal, error) {
  // A timeout is the service's silence, not the user's change of mind.
  const reason = signal?.aborted ? signal.reason : error;
  if (reason instanceof DOMException && reason.name === "TimeoutError") {
    return new ApiError({ status: 0, code: "timeout" });
  }
  return isAbort(reason) ? reason : new DOMException("aborted", "AbortError");
}

/** @param {string} text */
export function parsed(text) {
  try {
    return /** @type {unknown} */ (JSON.parse(text));
  } catch {
    return undefined;
  }
}

/**
 * @param {Pick<Response, "status" | "headers">} response
 * @param {unknown} body
 */
export function problemOf(response, body) {
  /** @type {Problem} */
  const problem = typeof body === "object" && body !== null ? body : {};
  const seconds = Number(response.headers.get("Retry-After") || NaN);
  return new ApiError({
    status: response.status,
    code: typeof problem.code === "string" ? problem.code : `http_${response.status}`,
    detail: typeof problem.detail === "string" ? problem.detail : "",
    title: typeof problem.title === "string" ? problem.title : "",
    errors: Array.isArray(problem.errors) ? problem.errors : [],
    requestId: typeof problem.request_id === "string" ? problem.request_id : "",
    retryAfterS: Number.isFinite(seconds) && seconds >= 0 ? seconds : null,
  });
}
