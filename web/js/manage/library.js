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
const AT_ONCE = 3;

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
  /** What was deleted last, and the lists before and after it. @type {{here: Here, gone: Named[], before: Lists, after: Lists} | null} */
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
    const fresh = { images: [], deleted: [], next: null, error: null, selecting: false, selected: [], sure: null };
    this.#store.updateLibrary({ which, phase: /** @type {const} */ ("loading"), ...fresh });
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
    // No error: what manages the library came late itself.
    if (which && phase === "error" && (!error || error.isAway)) await this.again();
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
    if (images.some(({ id }) => id === image.id)) return;
    /** @param {StoredImage} one */
    const isAfter = (one) => one.id > image.id;
    /** @param {StoredImage} one */
    const isOlder = (one) => one.created_at < image.created_at || (one.created_at === image.created_at && isAfter(one));
    const place = images.findIndex(which === "new" ? isOlder : isAfter);
    if (place < 0 && next) return;
    const before = place < 0 ? images.length : place;
    this.#store.updateLibrary({ images: [...images.slice(0, before), image, ...images.slice(before)] });
  }

  /**
   * @param {StoredImage} image
   * @param {Changes} changes
   */
  async save(image, changes) {
    const { calls } = this.#here();
    this.#store.updateLibrary({ editError: null });
    try {
      const fresh = await this.#gate.through("admin", () => calls.update(image.id, changes));
      const change = replaced(this.#store.state, fresh);
      this.#store.update({ ...change, library: { ...change.library, edited: null, done: done("manage.saved", fresh) } });
    } catch (error) {
      if (!isAbort(error)) this.#store.updateLibrary({ editError: failureOf(error) });
    }
  }

  /** @param {StoredImage} image */
  remove(image) {
    return this.removeAll([image]);
  }

  /** Into the trash, from which `undo` brings them back. @param {readonly StoredImage[]} images */
  async removeAll(images) {
    const state = this.#store.state;
    const here = this.#here();
    const { ended, error } = await this.#each(images, ({ id }) => here.calls.remove(id));
    if (ended.length) {
      const before = listsOf(this.#store.state);
      const gone = new Set(ended.map(({ id }) => id));
      /** @template {{id: string}} T @param {readonly T[]} of */
      const without = (of) => of.filter(({ id }) => !gone.has(id));
      const after = { images: without(before.images), results: without(before.results) };
      this.#undoable = { here, gone: ended, before, after };
      const { search, rows, library } = this.#store.state;
      if (here.isShown()) {
        this.#store.update({
          viewed: null,
          search: { ...search, results: after.results },
          rows: rows.map((row) => ({ ...row, results: without(row.results) })),
          library: { ...library, images: after.images, selected: library.selected.filter((id) => !gone.has(id)) },
        });
      }
      this.#onChanged();
    }
    this.#tell({ done: "manage.deleted", failed: "manage.notDeleted", ended, given: images, error, undo: state.library.which !== "trash" });
  }

  /** Brings back what was deleted last. */
  async undo() {
    const undoable = this.#undoable;
    if (!undoable) return;
    /** @type {StoredImage[]} */
    const back = [];
    const { here } = undoable;
    const { ended, error } = await this.#each(undoable.gone, async ({ id }) => back.push(await here.calls.restore(id)));
    if (ended.length) {
      const isAll = ended.length === undoable.gone.length;
      if (isAll) this.#undoable = null;
      else this.#undoable = { ...undoable, gone: undoable.gone.filter((one) => !ended.includes(one)) };
      const { search, library } = this.#store.state;
      if (isAll && search.results === undoable.after.results) this.#store.updateSearch({ results: undoable.before.results });
      if (isAll && library.images === undoable.after.images) this.#store.updateLibrary({ images: undoable.before.images });
      else if (here.isShown()) for (const image of back) this.put(image);
      if (here.isShown()) this.#forget(ended);
      this.#onChanged();
    }
    this.#tell({ done: "manage.restored", failed: "manage.notRestored", ended, given: undoable.gone, error, undo: !!error });
  }

  /** Out of the trash. @param {DeletedImage} image */
  restore(image) {
    return this.restoreAll([image]);
  }

  /** @param {readonly DeletedImage[]} images */
  async restoreAll(images) {
    const here = this.#here();
    const { ended, error } = await this.#each(images, ({ id }) => here.calls.restore(id));
    if (here.isShown()) this.#forget(ended);
    if (ended.length) this.#onChanged();
    this.#tell({ done: "manage.restored", failed: "manage.notRestored", ended, given: images, error });
  }

  /** Asks whether these are to go for good. @param {readonly Named[]} images */
  ask(images) {
    if (images.length) this.#store.updateLibrary({ sure: [...images] });
  }

  /** Deletes for good what was asked about: files and all. */
  async destroy() {
    const { sure } = this.#store.state.library;
    this.#store.updateLibrary({ sure: null });
    if (!sure) return;
    const here = this.#here();
    const { ended, error } = await this.#each(sure, ({ id }) => here.calls.destroy(id));
    if (here.isShown()) this.#forget(ended);
    this.#tell({ done: "manage.destroyed", failed: "manage.notDestroyed", ended, given: sure, error });
  }

  /**
   * Gives all of them tags that they may not have yet.
   * @param {readonly StoredImage[]} images
   * @param {readonly string[]} tags
   */
  async tagAll(images, tags) {
    if (!tags.length) return;
    const here = this.#here();
    const { ended, error } = await this.#each(images, async ({ id }) => {
      // As they are now: the list may be old, and others give tags too.
      const { tags: had } = await here.calls.image(id);
      const fresh = await here.calls.update(id, { tags: [...new Set([...had, ...tags])] });
      if (here.isShown()) this.#store.update(replaced(this.#store.state, fresh));
    });
    this.#tell({ done: "manage.tagged", failed: "manage.notTagged", ended, given: images, error });
  }

  /** @param {boolean} on */
  select(on) {
    this.#store.updateLibrary({ selecting: on, selected: [] });
  }

  /** @param {readonly string[]} ids @param {boolean} on */
  mark(ids, on) {
    const { selected } = this.#store.state.library;
    const rest = selected.filter((id) => !ids.includes(id));
    this.#store.updateLibrary({ selected: on ? [...rest, ...ids] : rest });
  }

  /** The collection that is shown now, for work that lasts longer than that. @returns {Here} */
  #here() {
    const { collection } = this.#store.state;
    return { calls: this.#calls.of(collection), isShown: () => this.#store.state.collection === collection };
  }

  /** What is no more in the trash. @param {readonly Named[]} images */
  #forget(images) {
    const ids = new Set(images.map(({ id }) => id));
    const { deleted, selected } = this.#store.state.library;
    this.#store.updateLibrary({ deleted: deleted.filter(({ id }) => !ids.has(id)), selected: selected.filter((id) => !ids.has(id)) });
  }

  /**
   * Work on each of them, a few at a time. The first failure is told, and ends what has not begun: it is seldom the
   * matter of one picture.
   * @template {Named} T
   * @param {readonly T[]} images
   * @param {(image: T) => Promise<unknown>} work
   * @returns {Promise<{ended: T[], error: Failure | "aborted" | null}>}
   */
  async #each(images, work) {
    /** @type {T[]} */
    const ended = [];
    /** @type {Failure | "aborted" | null} */
    let error = null;
    const waiting = [...images];
    const isLong = images.length > 1;
    const worker = async () => {
      for (let image = waiting.shift(); image && !error; image = waiting.shift()) {
        const one = image;
        try {
          await this.#gate.through("admin", () => work(one));
          ended.push(one);
          if (isLong) this.#store.updateLibrary({ working: { n: ended.length, of: images.length } });
        } catch (caught) {
          error ??= isAbort(caught) ? "aborted" : failureOf(caught);
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    if (isLong) this.#store.updateLibrary({ working: null });
    return { ended, error };
  }

  /**
   * @param {{done: DoneKey, failed: MessageKey, ended: readonly Named[], given: readonly Named[],
   *   error: Failure | "aborted" | null, undo?: boolean}} what
   */
  #tell({ done: key, failed, ended, given, error, undo = false }) {
    if (!ended.length && (!error || error === "aborted")) return;
    const failure = error === "aborted" ? null : error;
    const told = given.length === 1 ? done(ended.length ? key : failed, given[0]) : { ...done(ended.length ? `${key}Many` : failed, given[0]), n: ended.length };
    this.#store.updateLibrary({ done: { ...told, undo: undo && ended.length > 0, error: failure } });
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
    return this.#calls.list(which === "new" ? { ...asked, order: "newest" } : asked, { signal });
  }
}

/** @typedef {{calls: Calls, isShown: () => boolean}} Here a collection, and whether it is still the one that is shown */
/** @typedef {{id: string, title: string, source_name: string}} Named */
/** @typedef {"manage.deleted" | "manage.restored" | "manage.destroyed" | "manage.tagged"} DoneKey of one; with "Many" of several */
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
