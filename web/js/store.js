// @ts-check
/** @import {Filters, LibraryState, Refinement, State, SearchState} from "./types.js" */
/** @import {Locale} from "./i18n.js" */

/** @type {Readonly<SearchState>} */
export const IDLE_SEARCH = Object.freeze({
  phase: "idle",
  results: [],
  answer: null,
  roundTripMs: 0,
  loadingMore: false,
  error: null,
  keyRefused: false,
  showNearest: false,
  wantedId: null,
});

/** @type {Readonly<Filters>} */
export const NO_FILTERS = Object.freeze({
  tags: [],
  minWidth: 0,
  minHeight: 0,
  from: "",
  to: "",
  match: "",
  collapse: "none",
});

/** @type {Readonly<Refinement>} */
export const PLAIN = Object.freeze({ words: "", share: 0.5, crop: null, filters: NO_FILTERS, negatives: [] });

/** @type {Readonly<LibraryState>} */
export const CLOSED_LIBRARY = Object.freeze({
  which: null,
  phase: "idle",
  images: [],
  deleted: [],
  next: null,
  error: null,
  uploads: [],
  uploading: false,
  edited: null,
  editError: null,
  selecting: false,
  selected: [],
  working: null,
  sure: null,
  indexing: false,
  job: null,
  jobError: null,
  failures: null,
  vectors: Object.freeze({ open: false, job: null, error: null, failures: null, sending: null, isPast: false }),
  asks: null,
  done: null,
});

export const DEFAULT_TOP_K = 20;

/**
 * The state of a page that has just opened.
 * @param {{locale: Locale, hasKey?: boolean, isAdmin?: boolean, thumbPx?: number}} start
 * @returns {State}
 */
export function initialState({ locale, hasKey = false, isAdmin = false, thumbPx = 192 }) {
  return {
    locale,
    service: { phase: "connecting", status: null, returned: false },
    query: null,
    ...PLAIN,
    topK: DEFAULT_TOP_K,
    search: IDLE_SEARCH,
    rows: [],
    live: null,
    viewed: null,
    thumbPx,
    original: false,
    hint: null,
    missing: false,
    dragging: false,
    hasKey,
    isAdmin,
    collection: "",
    library: CLOSED_LIBRARY,
  };
}

/** State that announces changes: a "change" event after each update that changed something. */
export class Store extends EventTarget {
  /** @type {Readonly<State>} */
  #state;

  /** @param {State} initial */
  constructor(initial) {
    super();
    this.#state = Object.freeze({ ...initial });
  }

  /** @returns {Readonly<State>} a new object after each change, so parts can be compared by identity */
  get state() {
    return this.#state;
  }

  /** @param {Partial<State>} patch */
  update(patch) {
    const keys = /** @type {(keyof State)[]} */ (Object.keys(patch));
    if (keys.every((key) => Object.is(this.#state[key], patch[key]))) return;
    this.#state = Object.freeze({ ...this.#state, ...patch });
    this.dispatchEvent(new Event("change"));
  }

  /** @param {Partial<SearchState>} patch */
  updateSearch(patch) {
    this.update({ search: { ...this.#state.search, ...patch } });
  }

  /** @param {Partial<LibraryState>} patch */
  updateLibrary(patch) {
    this.update({ library: { ...this.#state.library, ...patch } });
  }

  /**
   * @param {(state: Readonly<State>) => void} listener
   * @returns {() => void} ends the subscription
   */
  subscribe(listener) {
    const onChange = () => listener(this.#state);
    this.addEventListener("change", onChange);
    return () => this.removeEventListener("change", onChange);
  }
}
