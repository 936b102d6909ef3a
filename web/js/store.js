// @ts-check
/** @import {State, SearchState} from "./types.js" */
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
});

/**
 * The state of a page that has just opened.
 * @param {{locale: Locale, hasKey?: boolean}} start
 * @returns {State}
 */
export function initialState({ locale, hasKey = false }) {
  return {
    locale,
    service: { phase: "connecting", status: null, returned: false },
    query: null,
    topK: 20,
    search: IDLE_SEARCH,
    hint: null,
    dragging: false,
    hasKey,
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
