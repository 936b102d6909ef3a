// @ts-check
/** @import {Api} from "../api.js" */
/** @import {Server} from "../servers.js" */
/** @import {Store} from "../store.js" */
/** @import {State} from "../types.js" */
import { changes, el, styled } from "../dom.js";
import { learn, translator } from "../i18n.js";
import { CHOSEN } from "../servers.js";

export const WORDS = {
  en: {
    "places.server": "Server",
    "places.collection": "Collection",
    "places.noSession": "This browser keeps nothing for this tab, so another server cannot be chosen.",
  },
  zh: {
    "places.server": "服务器",
    "places.collection": "集合",
    "places.noSession": "浏览器不为此标签页保存任何内容，因此无法选择其他服务器。",
  },
};

/**
 * The view once its words and its style are there.
 * @param {ConstructorParameters<typeof PlacesView>[0]} parts
 */
export async function placesView(parts) {
  learn(WORDS);
  await styled("css/places.css");
  return new PlacesView(parts);
}

/** Which service is asked, and which of its collections; each is shown where there is a choice. */
export class PlacesView {
  #api;
  #store;
  #base;
  #session;
  #server = field("server");
  #collection = field("collection");
  #wordsChange = changes();
  #namesChange = changes();
  /** How many pictures each has. @type {Map<string, number>} */
  #counts = new Map();
  /** @type {State | null} */
  #state = null;

  /**
   * @param {{api: Api, store: Store, servers: Server[], chosen: Server, session: () => Storage,
   *   goInto: (collection: string) => void}} parts
   */
  constructor({ api, store, servers, chosen, session, goInto }) {
    this.#api = api;
    this.#store = store;
    this.#session = session;
    this.#base = chosen.base;
    const { select, label } = this.#server;
    label.hidden = servers.length < 2;
    select.append(...servers.map(({ name, base }) => el("option", { value: base }, name)));
    select.addEventListener("change", () => {
      this.#goTo(select.value);
    });
    this.#collection.select.addEventListener("change", () => goInto(this.#collection.select.value));
    const row = el("div", { id: "places", class: "places-row" }, [label, this.#collection.label]);
    document.querySelector("main")?.prepend(row);
  }

  /** @param {string} base of a server */
  #goTo(base) {
    try {
      this.#session().setItem(CHOSEN, base);
    } catch {
      this.#server.select.value = this.#base;
      this.#store.update({ hint: { key: "places.noSession", tone: "error" } });
      return;
    }
    // Anew: what is shown, and what is held of it, is the other's.
    location.assign(this.#store.state.library.which ? "?library=all" : location.pathname);
  }

  /** @param {State} state */
  render(state) {
    this.#state = state;
    const { locale, service, library } = state;
    if (this.#wordsChange(locale)) {
      const tr = translator(locale);
      this.#server.words.textContent = tr.t("places.server");
      this.#collection.words.textContent = tr.t("places.collection");
    }
    // To leave would end what is being sent.
    this.#server.select.disabled = library.uploading || !!library.vectors.sending;
    this.#server.select.value = this.#base;
    const { status } = service;
    const isOther = this.#namesChange(status?.collections?.join(), status?.images, status?.collection);
    if (isOther) void this.#count();
    this.#renderCollections(state);
  }

  /** @param {State} state */
  #renderCollections({ service: { status }, collection, locale }) {
    const here = collection || status?.collection || "";
    const names = [...new Set([...(status?.collections ?? []), here])].filter(Boolean);
    const { label, select } = this.#collection;
    label.hidden = names.length < 2;
    const tr = translator(locale);
    const options = names.map((name) => {
      const count = this.#counts.get(name);
      return el("option", { value: name }, count === undefined ? name : `${name} (${tr.number(count)})`);
    });
    // Left alone where nothing changed: it may be open.
    const same = options.length === select.options.length && options.every((one, at) => one.isEqualNode(select.options[at]));
    if (!same) select.replaceChildren(...options);
    if (select.value !== here) select.value = here;
  }

  async #count() {
    try {
      const { body } = await this.#api.call("/collections", { cache: "no-store" }, "user");
      const { collections } = /** @type {{collections: {name: string, images: number}[]}} */ (body);
      this.#counts = new Map(collections.map(({ name, images }) => [name, images]));
    } catch {
      // Away, or a key is wanted, which others tell: the names do without.
    }
    if (this.#state) this.#renderCollections(this.#state);
  }
}

/** @param {string} id */
function field(id) {
  const words = el("span");
  const select = el("select", { id });
  return { words, select, label: el("label", { class: "field", hidden: true }, [words, select]) };
}
