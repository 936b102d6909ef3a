// @ts-check
/** @import {Api} from "./api.js" */
/** @import {Store} from "./store.js" */
/** @import {State, Viewed} from "./types.js" */
import { ApiError } from "./api.js";
import { visible } from "./filters.js";

/**
 * The pictures that the viewer goes through: of the row that has the viewed one, else of the grid.
 * @param {State} state
 * @returns {Viewed[]}
 */
export function series(state) {
  const { rows, viewed, library } = state;
  if (library.which) return library.images;
  return rows.find(({ results }) => results.some((result) => result === viewed))?.results ?? visible(state);
}

/** Which picture the viewer shows. */
export class Viewing {
  #api;
  #store;
  #onNearEnd;

  /** @param {{api: Api, store: Store, onNearEnd: () => void}} parts `onNearEnd`: more results will soon be wanted */
  constructor({ api, store, onNearEnd }) {
    this.#api = api;
    this.#store = store;
    this.#onNearEnd = onNearEnd;
  }

  /** @param {Viewed | null} viewed */
  show(viewed) {
    this.#store.update({ viewed });
  }

  /** A picture that a link names. @param {string} id */
  async open(id) {
    try {
      const { library, search } = this.#store.state;
      const found = (library.which ? library.images : search.results).find((image) => image.id === id);
      this.show(found ?? (await this.#api.image(id)));
    } catch (error) {
      // Away and locked are told by the search beside it.
      if (error instanceof ApiError && error.status === 404) this.#store.update({ hint: { key: "error.404", tone: "info" } });
      else if (!(error instanceof ApiError)) throw error;
    }
  }

  /** @param {1 | -1} by to the next or the previous one */
  step(by) {
    const { state } = this.#store;
    const shown = series(state);
    const place = shown.findIndex((result) => result.id === state.viewed?.id);
    const next = shown[place + by];
    if (place >= 0 && next) this.show(next);
    if (place + 2 * by >= shown.length - 1) this.#onNearEnd();
  }
}
