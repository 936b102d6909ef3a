// @ts-check
/** @import {Locale} from "./i18n.js" */
/** @import {Live} from "./live/live.js" */
/** @import {FileQuery, Which} from "./types.js" */
/** @import {Manager} from "./manage/manager.js" */
/** @import {Picking} from "./views/card.js" */
/** @import {QueryActions} from "./views/query.js" */
/** @import {ResultsActions} from "./views/results.js" */
import * as config from "../config.js";
import { Api } from "./api.js";
import { byId, el, styled } from "./dom.js";
import { listen, pick, tooLarge } from "./inputs.js";
import { LOCALES, pickLocale, speak, translatePage, translator } from "./i18n.js";
import { SessionKey } from "./keys.js";
import { abilities, offer } from "./live/ability.js";
import { Monitor } from "./monitor.js";
import { Navigation } from "./navigation.js";
import { Searcher } from "./searcher.js";
import { keyName, serversOf } from "./servers.js";
import { remember, remembered } from "./settings.js";
import { Store, initialState } from "./store.js";
import { Viewing } from "./viewing.js";
import { AddressView } from "./views/address.js";
import { later } from "./views/later.js";
import { NoticeView } from "./views/notice.js";
import { RefineView } from "./views/refine.js";
import { StartView, isGone } from "./views/start.js";
import { StatusView } from "./views/status.js";

const session = () => sessionStorage;
// All of the module: a config.js of an older page names no servers.
const { servers, chosen } = serversOf(config, session);
const keys = {
  user: new SessionKey(session, keyName("image-search.key", chosen)),
  admin: new SessionKey(session, keyName("image-search.admin-key", chosen)),
};
const held = () => ({ hasKey: !!(keys.user.get() ?? keys.admin.get()), isAdmin: !!keys.admin.get() });
const locale = pickLocale([remembered("locale"), ...navigator.languages]);
await speak(locale).catch((error) => {
  // In no language's words: there are none.
  byId("notices", HTMLElement).append(el("p", { class: "notice", role: "alert" }, ["The words of this page could not be fetched. ", el("a", { href: "" }, "Try again · 重试")]));
  throw error;
});
const thumbPx = Number(remembered("thumb")) || undefined;
const store = new Store(initialState({ locale, ...held(), thumbPx }));
const api = new Api({
  base: chosen.base,
  key: (role) => (role === "admin" ? keys.admin.get() : (keys.user.get() ?? keys.admin.get())),
  collection: () => store.state.collection,
});
const searcher = new Searcher({ api, store, onAway: () => void monitor.check() });
const monitor = new Monitor({ api, store, onReturn: () => (store.state.library.which ? void manage((one) => one.resume()) : searcher.resume()) });
const viewing = new Viewing({ api, store, onNearEnd: () => (store.state.library.which ? void manage((one) => one.more()) : void searcher.more()) });
const navigation = new Navigation({
  store,
  past: history,
  address: location,
  onOpen: async (link, files, behind) => {
    const { library: which, collection } = link;
    if (collection !== store.state.collection) enter(collection);
    if (which) {
      // What was searched for when the library was opened stands behind it, and opens with it.
      if (behind) void searcher.open(behind, files);
      await openLibrary(which);
    }
    else {
      leaveLibrary();
      await searcher.open(link, files);
    }
    if (link.viewedId) await viewing.open(link.viewedId);
  },
});

/** @param {string | null} value */
function setKey(value) {
  keys.user.set(value);
  if (!value) keys.admin.set(null);
  store.update(held());
}

/** What could not be fetched, and what fetches it again. @type {Map<unknown, () => void>} */
const absent = new Map();

/** A part of the page could not be fetched, or is there. @param {unknown} part @param {() => void} [again] */
function missing(part, again) {
  if (again) absent.set(part, again);
  else absent.delete(part);
  store.update({ missing: absent.size > 0 });
}

/** @type {Promise<Manager> | null} */
let manager = null;

/**
 * What manages the library is fetched when it is first wanted.
 * @param {((one: Manager) => unknown) | null} use null: only what is open
 */
async function manage(use) {
  const { which, phase, error } = store.state.library;
  // It may have been opened while this could not be fetched.
  const opens = !use || (which && phase === "error" && !error);
  if (opens) store.updateLibrary({ phase: "loading" });
  const parts = { api, store, keys, base, actions: { ...picking, held, check: () => void monitor.check() } };
  manager ??= import("./manage/manager.js").then((module) => module.manager(parts));
  let one;
  try {
    one = await manager;
  } catch {
    manager = null;
    store.updateLibrary({ phase: "error", error: null });
    return missing(manage, () => void manage(use));
  }
  missing(manage);
  const now = store.state.library.which;
  if (opens && now) await one.open(now);
  await use?.(one);
}

/** @param {Which} which */
async function openLibrary(which) {
  store.updateLibrary({ which, phase: "loading" });
  // A camera must not go on behind the library.
  if (store.state.live) (await liveSearch()).end();
  await manage(null);
}

/** @param {string} collection */
function enter(collection) {
  store.update({ collection });
  // Once more: a check that is under way asked about the one before.
  void monitor.check().then(() => monitor.check());
}

/** @param {string} collection */
function goInto(collection) {
  enter(collection);
  searcher.elsewhere();
  const { which } = store.state.library;
  if (which) void openLibrary(which);
}

function leaveLibrary() {
  if (store.state.library.which) store.updateLibrary({ which: null });
}

/** @type {Promise<Live> | null} */
let live = null;
const liveSearch = () =>
  (live ??= Promise.all([import("./live/live.js"), import("./views/live.js"), styled("css/work.css"), styled("css/live.css")]).then(([{ Live }, { LiveView }]) => {
    const one = new Live({ api, store, searcher });
    const actions = {
      freeze: () => void one.freeze(),
      end: () => one.end(),
      /** @param {string} id */
      camera: (id) => void one.start("camera", id),
      crop: working.crop,
    };
    views.push(new LiveView({ actions }));
    return one;
  }));

/** @param {(live: Live) => void} use the live search, fetched when it is first wanted */
async function withLive(use) {
  let found;
  try {
    found = await liveSearch();
  } catch {
    live = null;
    return missing(liveSearch, () => void withLive(use));
  }
  missing(liveSearch);
  use(found);
}

/** @param {File[]} files */
async function shrunk(files) {
  try {
    const { shrink } = await import("./shrink.js");
    return await Promise.all(files.map((file) => shrink(file)));
  } catch {
    // What shrinks them cannot be fetched: the search tells that the service is away.
    return files;
  }
}

/** @param {File[]} given */
async function takeFiles(given) {
  const video = given.find(({ type }) => type.startsWith("video/"));
  if (video) return withLive((live) => void live.start("video", video));
  const limits = store.state.service.status?.limits;
  const { files, hint } = pick(given, limits);
  const ready = store.state.original ? files : await shrunk(files);
  const refusal = ready.map((file) => tooLarge(file, limits)).find((found) => found);
  if (ready.length && !refusal) searcher.withFiles(ready);
  searcher.tell(refusal ?? hint);
}

/** @param {Locale} chosen */
async function setLocale(chosen) {
  try {
    await speak(chosen);
  } catch {
    return missing(setLocale, () => void setLocale(chosen));
  }
  missing(setLocale);
  remember("locale", chosen);
  store.update({ locale: chosen });
}

const chooser = byId("chooser", HTMLInputElement);
const base = new URL(chosen.base || ".", location.href).href;
const address = new AddressView({ actions: { go: (url) => searcher.withUrl(url) } });
byId("give", HTMLButtonElement).addEventListener("click", () => chooser.click());
const giving = {
  choose: () => chooser.click(),
  address: () => address.open(),
  random: () => void searcher.withRandom(),
  camera: () => void withLive((live) => void live.start("camera")),
  video: () => void withLive((live) => live.choose()),
  screen: () => void withLive((live) => void live.start("screen")),
};
/** @type {Picking} */
const picking = {
  searchWith: (image) => {
    leaveLibrary();
    searcher.withResult(image);
  },
  unlike: (image) => searcher.unlike(image),
  view: (viewed) => viewing.show(viewed),
};
/** @type {QueryActions & ResultsActions & {only: (query: FileQuery) => void}} */
const working = {
  ...giving,
  ...picking,
  clear: () => searcher.clear(),
  crop: (crop) => searcher.refine({ crop }),
  more: () => void searcher.more(),
  setTopK: (topK) => searcher.setTopK(topK),
  setThumb: (px) => {
    remember("thumb", String(px));
    store.update({ thumbPx: px });
  },
  showNearest: () => store.updateSearch({ showNearest: true }),
  only: (query) => searcher.withFiles([query.file]),
};
const late = { missing, render: () => render() };
// Somebody begins to ask: what shows the answer comes meanwhile.
let begun = false;
for (const type of ["pointerdown", "keydown", "dragenter"]) {
  window.addEventListener(
    type,
    () => {
      begun = true;
      render();
    },
    { once: true },
  );
}
const views = [
  new StatusView({ address: chosen.base || location.origin, actions: { forgetKey: () => setKey(null) } }),
  new StartView({ actions: giving }),
  new RefineView({
    actions: {
      refine: (change) => searcher.refine(change),
      draft: (words) => searcher.draft(words),
      setOriginal: (original) => store.update({ original }),
    },
  }),
  new NoticeView({
    actions: {
      tryNow: () => void monitor.check(),
      retry: () => void searcher.retry(),
      more: () => void searcher.more(),
      giveKey: (value) => {
        setKey(value);
        void searcher.retry();
      },
      dismissError: () => store.updateSearch({ error: null }),
      dismissHint: () => store.update({ hint: null }),
      fetchAgain: () => {
        const all = [...absent.values()];
        absent.clear();
        store.update({ missing: false });
        for (const again of all) again();
        // The button that was pressed is gone.
        byId("content", HTMLElement).focus({ preventScroll: true });
      },
    },
  }),
  later({
    ...late,
    wanted: ({ service }) => servers.length > 1 || (service.status?.collections?.length ?? 0) > 1 || isGone(service.status),
    load: async () => {
      const { placesView } = await import("./views/places.js");
      return [await placesView({ api, store, servers, chosen, session, goInto })];
    },
  }),
  later({
    ...late,
    wanted: ({ search, rows }) => begun || search.phase !== "idle" || rows.length > 0,
    load: async () => {
      const [{ workViews }] = await Promise.all([import("./views/work.js"), styled("css/work.css")]);
      return workViews({ base, actions: working });
    },
  }),
  later({
    ...late,
    // Whoever has results is about to look at one.
    wanted: ({ viewed, search, rows }) => viewed !== null || search.results.length > 0 || rows.length > 0,
    load: async () => {
      const [{ ViewerView }] = await Promise.all([import("./views/viewer.js"), styled("css/viewer.css")]);
      return [new ViewerView({
        base,
        actions: {
          ...picking,
          step: (by) => viewing.step(by),
          edit: (image) => void manage((one) => one.edit(image)),
          remove: (image) => void manage((one) => one.remove(image)),
        },
      })];
    },
  }),
];

listen({
  chooser,
  onFiles: (files) => (store.state.library.which ? void manage((one) => one.add(files)) : void takeFiles(files)),
  onAddress: (url) => (store.state.library.which ? void manage((one) => one.addAddress(url)) : searcher.withUrl(url)),
  onDragging: (dragging) => store.update({ dragging }),
});

const languageButtons = LOCALES.map((offered) => {
  const button = /** @type {HTMLButtonElement} */ (document.querySelector(`[data-locale="${offered}"]`));
  button.addEventListener("click", () => void setLocale(offered));
  return { offered, button };
});

const places = [...document.querySelectorAll("[data-place]")];
for (const place of places) {
  place.addEventListener("click", (event) => {
    // With a key held the browser opens a tab or a window of its own.
    if (event instanceof MouseEvent && (event.metaKey || event.ctrlKey || event.shiftKey)) return;
    event.preventDefault();
    if (place.getAttribute("data-place") === "library") void openLibrary("all");
    else if (store.state.library.which) leaveLibrary();
    else searcher.start();
  });
}

let wordsIn = "";
function render() {
  const { state } = store;
  if (wordsIn !== state.locale) {
    wordsIn = state.locale;
    translatePage(document, state.locale);
    for (const { offered, button } of languageButtons) button.setAttribute("aria-pressed", String(offered === state.locale));
  }
  const { t } = translator(state.locale);
  // Tabs, bookmarks and the browser's history tell searches by it.
  const title = state.words ? t("app.titleOf", { words: state.words }) : t("app.title");
  if (title !== document.title) document.title = title;
  const at = state.library.which ? "library" : "search";
  for (const place of places) {
    if (place.getAttribute("data-place") === at) place.setAttribute("aria-current", "page");
    else place.removeAttribute("aria-current");
  }
  for (const view of views) view.render(state);
}

offer(document, abilities(window));
store.subscribe(render);
render();
void navigation.open();
window.addEventListener("popstate", () => void navigation.walk());
window.addEventListener("online", () => void monitor.check());
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") void monitor.check();
});
void monitor.check();
