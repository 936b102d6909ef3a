// @ts-check
/** @import {ApiError as Failure} from "../api.js" */
/** @import {MessageKey} from "../i18n.js" */
/** @import {Store} from "../store.js" */
/** @import {DeletedImage, LibraryState, SearchResult, State, StoredImage, Which} from "../types.js" */
/** @import {Calls, Changes} from "./calls.js" */
/** @import {Gate} from "./gate.js" */
import { ApiError, isAbort } from "../api.js";
import { displayName } from "../format.js";

const PAGE = 60;
const NEW_MS = 7 * 86_400_000;

/**
 * A request's failure as the views show it; anything else is a fault of the page and goes on.
 * @param {unknown} error
 * @returns {Failure}
 */
export function failureOf(error) {
  if (error instanceof ApiError) return error;
  if (isAbort(error)) return new ApiError({ status: 401, code: "no_key" });
  throw error;
}

/** The pictures of the library, page by page, and what is changed about them. */
export class Library {
  #calls;
  #store;
  #gate;
  #onChanged;
  /** @type {AbortController | null} */
  #running = null;
  /** What was deleted last, and the lists before and after it. @type {{id: string, before: Lists, after: Lists} | null} */
  #undoable = null;

  /** @param {{calls: Calls, store: Store, gate: Gate, onChanged: () => void}} parts `onChanged`: of how many there are */
  constructor({ calls, store, gate, onChanged }) {
    this.#calls = calls;
    this.#store = store;
    this.#gate = gate;
    this.#onChanged = onChanged;
  }

  /** @param {Which} which */
  async open(which) {
    this.#store.updateLibrary({ which, phase: "loading", images: [], deleted: [], next: null, error: null });
    await this.#load(which);
  }

  async more() {
    const { which, next, phase } = this.#store.state.library;
    if (!which || !next || (phase !== "done" && phase !== "error")) return;
    this.#store.updateLibrary({ phase: "more", error: null });
    await this.#load(which, next);
  }

  /** Goes on where the service's absence stopped it. */
  async resume() {
    const { which, phase, error } = this.#store.state.library;
    if (which && phase === "error" && error?.isAway) await this.again();
  }

  /** Once more what failed. */
  async again() {
    const { which, next } = this.#store.state.library;
    if (next) await this.more();
    else if (which) await this.open(which);
  }

  /** Shows a picture that has just come in, where the list that is shown has a place for it. @param {StoredImage} image */
  put(image) {
    const { which, images, next } = this.#store.state.library;
    if (which !== "all" && which !== "new") return;
    const place = images.findIndex(({ id }) => id >= image.id);
    if (images[place]?.id === image.id || (place < 0 && next)) return;
    const before = place < 0 ? images.length : place;
    this.#store.updateLibrary({ images: [...images.slice(0, before), image, ...images.slice(before)] });
  }

  /**
   * @param {StoredImage} image
   * @param {Changes} changes
   */
  async save(image, changes) {
    this.#store.updateLibrary({ editError: null });
    try {
      const fresh = await this.#gate.through("admin", () => this.#calls.update(image.id, changes));
      const change = replaced(this.#store.state, fresh);
      this.#store.update({ ...change, library: { ...change.library, edited: null, done: done("manage.saved", fresh) } });
    } catch (error) {
      if (!isAbort(error)) this.#store.updateLibrary({ editError: failureOf(error) });
    }
  }

  /** @param {StoredImage} image */
  async remove(image) {
    await this.#change("manage.notDeleted", image, async () => {
      await this.#gate.through("admin", () => this.#calls.remove(image.id));
      const { state } = this.#store;
      const before = listsOf(state);
      /** @template {{id: string}} T @param {readonly T[]} images */
      const without = (images) => images.filter(({ id }) => id !== image.id);
      const after = { images: without(before.images), results: without(before.results) };
      this.#undoable = { id: image.id, before, after };
      this.#store.update({
        viewed: null,
        search: { ...state.search, results: after.results },
        rows: state.rows.map((row) => ({ ...row, results: without(row.results) })),
        library: { ...state.library, images: after.images, done: { ...done("manage.deleted", image), undo: true } },
      });
      this.#onChanged();
    });
  }

  /** Brings back what was deleted last. */
  async undo() {
    const undoable = this.#undoable;
    if (!undoable) return;
    const gone = undoable.before.images.find(({ id }) => id === undoable.id) ?? undoable.before.results.find(({ id }) => id === undoable.id);
    await this.#change("manage.notRestored", gone ?? { id: undoable.id, title: "", source_name: "" }, async () => {
      const image = await this.#gate.through("admin", () => this.#calls.restore(undoable.id));
      this.#undoable = null;
      const { search, library } = this.#store.state;
      if (search.results === undoable.after.results) this.#store.updateSearch({ results: undoable.before.results });
      if (library.images === undoable.after.images) this.#store.updateLibrary({ images: undoable.before.images });
      else this.put(image);
      const deleted = library.deleted.filter(({ id }) => id !== image.id);
      this.#store.updateLibrary({ deleted, done: done("manage.restored", image) });
      this.#onChanged();
    });
  }

  /** Out of the trash. @param {DeletedImage} image */
  async restore(image) {
    await this.#change("manage.notRestored", image, async () => {
      await this.#gate.through("admin", () => this.#calls.restore(image.id));
      const { deleted } = this.#store.state.library;
      this.#store.updateLibrary({
        deleted: deleted.filter(({ id }) => id !== image.id),
        done: done("manage.restored", image),
      });
      this.#onChanged();
    });
  }

  /**
   * @param {MessageKey} failed
   * @param {Named} image
   * @param {() => Promise<void>} work
   */
  async #change(failed, image, work) {
    try {
      await work();
    } catch (error) {
      if (!isAbort(error)) this.#store.updateLibrary({ done: { ...done(failed, image), error: failureOf(error) } });
    }
  }

  /**
   * @param {Which} which
   * @param {string | null} [cursor]
   */
  async #load(which, cursor = null) {
    this.#running?.abort();
    const running = new AbortController();
    this.#running = running;
    try {
      const page = await this.#gate.through(which === "trash" ? "admin" : "user", () => this.#page(which, cursor, running.signal));
      if (this.#running !== running) return;
      const { images, deleted } = this.#store.state.library;
      // A picture that came in meanwhile is there already.
      const known = new Set([...images, ...deleted].map(({ id }) => id));
      this.#store.updateLibrary({
        phase: "done",
        images: [...images, ...(page.images ?? []).filter(({ id }) => !known.has(id))],
        deleted: [...deleted, ...(page.deleted ?? []).filter(({ id }) => !known.has(id))],
        next: page.next,
      });
    } catch (error) {
      if (this.#running !== running) return;
      this.#store.updateLibrary({ phase: "error", error: failureOf(error) });
    }
  }

  /**
   * @param {Which} which
   * @param {string | null} cursor
   * @param {AbortSignal} signal
   * @returns {Promise<{images?: StoredImage[], deleted?: DeletedImage[], next: string | null}>}
   */
  async #page(which, cursor, signal) {
    const asked = { limit: PAGE, cursor };
    if (which === "random") return { ...(await this.#calls.random(PAGE, { signal })), next: null };
    if (which === "trash") {
      const { images, next } = await this.#calls.deleted(asked, { signal });
      return { deleted: images, next };
    }
    if (which === "all") return this.#calls.list(asked, { signal });
    const filter = { created_at: { gte: new Date(Date.now() - NEW_MS).toISOString() } };
    return this.#calls.list({ ...asked, filter }, { signal });
  }
}

/** @typedef {{id: string, title: string, source_name: string}} Named */
/** @typedef {{images: StoredImage[], results: SearchResult[]}} Lists */

/** @param {State} state @returns {Lists} */
function listsOf({ library, search }) {
  return { images: library.images, results: search.results };
}

/**
 * @param {MessageKey} key
 * @param {Named} image
 * @returns {NonNullable<LibraryState["done"]>}
 */
function done(key, image) {
  return { key, name: displayName(image), undo: false, error: null };
}

/**
 * The lists with a picture's new words in them; what a search knows of it stays.
 * @param {State} state
 * @param {StoredImage} fresh
 * @returns {Pick<State, "viewed" | "search" | "rows" | "library">}
 */
function replaced({ viewed, search, rows, library }, fresh) {
  /** @type {Map<StoredImage, StoredImage>} */
  const made = new Map();
  /** @template {StoredImage} T @param {T} image @returns {T} */
  const one = (image) => {
    if (image.id !== fresh.id) return image;
    if (!made.has(image)) made.set(image, { ...image, ...fresh });
    return /** @type {T} */ (made.get(image));
  };
  return {
    viewed: viewed && one(viewed),
    search: { ...search, results: search.results.map(one) },
    rows: rows.map((row) => ({ ...row, results: row.results.map(one) })),
    library: { ...library, images: library.images.map(one) },
  };
}
