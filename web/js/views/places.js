// @ts-check
/** @import {Api} from "../api.js" */
/** @import {Server} from "../servers.js" */
/** @import {Store} from "../store.js" */
/** @import {State} from "../types.js" */
import { byId, changes, el, styled } from "../dom.js";
import { learn, translator } from "../i18n.js";
import { CHOSEN } from "../servers.js";
import { notice } from "./notice.js";
import { isGone } from "./start.js";

/** More ways than these are in the choice of a collection. */
const MOST_WAYS = 3;

export const WORDS = {
  en: {
    "places.server": "Server",
    "places.collection": "Collection",
    "places.gone": "There is no collection “{name}”.",
    "places.goTo": "Go to “{name}”",
    "places.noSession": "This browser keeps nothing for this tab, so another server cannot be chosen.",
  },
  zh: {
    "places.server": "服务器",
    "places.collection": "集合",
    "places.gone": "没有名为“{name}”的集合。",
    "places.goTo": "前往“{name}”",
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
  #goInto;
  #gone = el("div", { role: "status" });
  #wordsChange = changes();
  #goneChanges = changes();
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
    this.#goInto = goInto;
    byId("notices", HTMLElement).prepend(this.#gone);
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
    if (this.#goneChanges(locale, status)) this.#renderGone(state);
  }

  /** A link may name a collection that was dropped, or never was. @param {State} state */
  #renderGone({ service: { status }, locale }) {
    const { t } = translator(locale);
    const ways = (status?.collections ?? []).slice(0, MOST_WAYS).map((name) =>
      el("button", { class: "button small", type: "button" }, t("places.goTo", { name }), {
        click: () => {
          this.#goInto(name);
          byId("content", HTMLElement).focus({ preventScroll: true });
        },
      }),
    );
    const told = el("p", { class: "notice-title" }, t("places.gone", { name: status?.collection ?? "" }));
    this.#gone.replaceChildren(...(isGone(status) ? [notice("info", [told], ...ways)] : []));
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
