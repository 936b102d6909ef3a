// @ts-check
/** @import {Api, Role} from "../api.js" */
/** @import {SessionKey} from "../keys.js" */
/** @import {Store} from "../store.js" */
/** @import {State, StoredImage, Which} from "../types.js" */
/** @import {Picking} from "../views/card.js" */
import { el } from "../dom.js";
import { learn } from "../i18n.js";
import { AddingView } from "./adding.js";
import { BrowseView } from "./browse.js";
import { Calls } from "./calls.js";
import { DoneView, EditView, KeyView } from "./dialogs.js";
import { Gate } from "./gate.js";
import { IndexView } from "./indexing.js";
import { Jobs } from "./jobs.js";
import { Library } from "./library.js";
import { Uploads } from "./uploads.js";
import { WORDS } from "./words.js";

/**
 * @typedef {{api: Api, store: Store, keys: Record<Role, SessionKey>, base: string,
 *   actions: Picking & {held: () => Partial<State>, search: () => void, check: () => void}}} Parts
 *   `search`: without what belongs to another collection; `check`: how many pictures there are now
 */

/** Manages the library once its words and its style are there. @param {Parts} parts */
export async function manager(parts) {
  learn(WORDS);
  await styled();
  return new Manager(parts);
}

/** Wires what manages the library to its views. */
export class Manager {
  #store;
  #library;
  #uploads;

  /** @param {Parts} parts */
  constructor({ api, store, keys, base, actions }) {
    const { held, search, check, ...picking } = actions;
    const calls = new Calls(api);
    const gate = new Gate({ store, keys, held });
    const library = new Library({ calls, store, gate, onChanged: check });
    const uploads = new Uploads({ calls, store, gate, onAdded: (image) => library.put(image), onEnd: check });
    const jobs = new Jobs({ calls, store, gate, onEnd: check });
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
          choose: (collection) => {
            search();
            store.update({ collection });
            check();
            void library.open(store.state.library.which ?? "all");
          },
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

/** Resolves when the style is there, so that nothing is shown without it. */
function styled() {
  return new Promise((resolve, reject) => {
    const link = el("link", { rel: "stylesheet", href: "css/manage.css" }, [], {
      load: resolve,
      error: (event) => {
        link.remove();
        reject(event);
      },
    });
    document.head.append(link);
  });
}
