// @ts-check
/** @import {Api, Role} from "../api.js" */
/** @import {SessionKey} from "../keys.js" */
/** @import {Store} from "../store.js" */
/** @import {State, StoredImage, Which} from "../types.js" */
/** @import {Picking} from "../views/card.js" */
import { styled } from "../dom.js";
import { learn } from "../i18n.js";
import { AddingView } from "./adding.js";
import { BrowseView } from "./browse.js";
import { Calls } from "./calls.js";
import { DoneView, EditView, KeyView, SureView } from "./dialogs.js";
import { Gate } from "./gate.js";
import { IndexView } from "./indexing.js";
import { IMPORTS, Jobs } from "./jobs.js";
import { Library } from "./library.js";
import { SelectionView } from "./selection.js";
import { Transfer } from "./transfer.js";
import { Uploads } from "./uploads.js";
import { VectorsView, follow } from "./vectors.js";
import { PROBLEMS, WORDS as SHOWING } from "../views/words.js";
import { WORDS } from "./words.js";

/**
 * @typedef {{api: Api, store: Store, keys: Record<Role, SessionKey>, base: string,
 *   actions: Picking & {held: () => Partial<State>, check: () => void}}} Parts
 *   `check`: how many pictures there are now
 */

/** Manages the library once its words and its style are there. @param {Parts} parts */
export async function manager(parts) {
  learn(SHOWING);
  learn(PROBLEMS);
  learn(WORDS);
  await Promise.all([styled("css/work.css"), styled("css/manage.css")]);
  return new Manager(parts);
}

/** Wires what manages the library to its views. */
export class Manager {
  #store;
  #library;
  #uploads;

  /** @param {Parts} parts */
  constructor({ api, store, keys, base, actions }) {
    const { held, check, ...picking } = actions;
    const calls = new Calls(api);
    const gate = new Gate({ store, keys, held });
    const library = new Library({ calls, store, gate, onChanged: check });
    const uploads = new Uploads({ calls, store, gate, onAdded: (image) => library.put(image), onEnd: check });
    const jobs = new Jobs({ calls, store, gate, onEnd: check });
    const imported = () => {
      check();
      const { library: { which, uploads, selecting, vectors }, service, viewed } = store.state;
      const isHere = vectors.job?.result?.collection === (store.state.collection || service.status?.collection);
      // What came in is shown, unless somebody is at work in what is there.
      if (which && isHere && vectors.job?.result?.added && !uploads.length && !selecting && !viewed) void library.open(which);
    };
    const imports = new Jobs({ calls, store, gate, onEnd: imported, panel: IMPORTS });
    const transfer = new Transfer({ calls, store, gate, jobs: imports, follow });
    /** @template {{id: string}} T @param {readonly T[]} images */
    const selected = (images) => images.filter(({ id }) => store.state.library.selected.includes(id));
    this.#store = store;
    this.#library = library;
    this.#uploads = uploads;

    const views = [
      new BrowseView({
        base,
        actions: {
          ...picking,
          open: (which) => void library.open(which),
          more: () => void library.more(),
          again: () => void library.again(),
          edit: (image) => this.edit(image),
          remove: (image) => void library.remove(image),
          restore: (image) => void library.restore(image),
          add: (files) => this.add(files),
          index: (open) => (open ? void jobs.open() : jobs.close()),
          destroy: (image) => library.ask([image]),
          mark: (ids, on) => library.mark(ids, on),
          vectors: (open) => (open ? void imports.open() : imports.close()),
        },
      }),
      new AddingView({
        actions: {
          stop: () => uploads.stop(),
          again: () => void uploads.again(),
          clear: () => uploads.clear(),
          view: picking.view,
        },
      }),
      new IndexView({
        actions: {
          start: (projection) => void jobs.start(projection),
          cancel: () => void jobs.cancel(),
          retry: () => void jobs.retry(),
          failures: () => void jobs.failures(),
        },
      }),
      new EditView({
        actions: {
          save: (image, changes) => library.save(image, changes),
          close: () => store.updateLibrary({ edited: null, editError: null }),
        },
      }),
      new VectorsView({
        actions: {
          take: () => void transfer.take(),
          bring: (file, collection) => void transfer.bring(file, collection),
          cancel: () => transfer.cancel(),
          retry: () => void imports.retry(),
          failures: () => void imports.failures(),
        },
      }),
      new SelectionView({
        actions: {
          select: (on) => library.select(on),
          mark: (ids, on) => library.mark(ids, on),
          removeAll: () => void library.removeAll(selected(store.state.library.images)),
          tagAll: (tags) => void library.tagAll(selected(store.state.library.images), tags),
          restoreAll: () => void library.restoreAll(selected(store.state.library.deleted)),
          destroyAll: () => library.ask(selected(store.state.library.deleted)),
        },
      }),
      new SureView({
        actions: { destroy: () => void library.destroy(), close: () => store.updateLibrary({ sure: null }) },
      }),
      new DoneView({ actions: { undo: () => void library.undo(), close: () => store.updateLibrary({ done: null }) } }),
      new KeyView({ actions: { give: (key) => gate.give(key), cancel: () => gate.cancel() } }),
    ];
    const render = () => {
      for (const view of views) view.render(store.state);
    };
    store.subscribe(render);
    render();
  }

  /** @param {Which} which */
  open(which) {
    return this.#library.open(which);
  }

  more() {
    return this.#library.more();
  }

  resume() {
    return this.#library.resume();
  }

  /** @param {StoredImage} image */
  edit(image) {
    this.#store.updateLibrary({ edited: image, editError: null });
  }

  /** @param {StoredImage} image */
  remove(image) {
    return this.#library.remove(image);
  }

  /** @param {readonly File[]} files */
  add(files) {
    return this.#uploads.files(files);
  }

  /** @param {string} url */
  addAddress(url) {
    return this.#uploads.address(url);
  }
}
