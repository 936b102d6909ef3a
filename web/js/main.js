// @ts-check
import { API_BASE } from "../config.js";
import { Api } from "./api.js";
import { byId } from "./dom.js";
import { listen, pick } from "./inputs.js";
import { LOCALES, pickLocale, translatePage } from "./i18n.js";
import { SessionKey } from "./keys.js";
import { Monitor } from "./monitor.js";
import { Searcher } from "./searcher.js";
import { Store, initialState } from "./store.js";
import { rememberLocale, rememberedLocale } from "./settings.js";
import { NoticeView } from "./views/notice.js";
import { QueryView } from "./views/query.js";
import { ResultsView } from "./views/results.js";
import { StatusView } from "./views/status.js";

const key = new SessionKey(() => sessionStorage);
const store = new Store(
  initialState({ locale: pickLocale([rememberedLocale(), ...navigator.languages]), hasKey: key.get() !== null }),
);
const api = new Api({ base: API_BASE, key: () => key.get() });
const searcher = new Searcher({ api, store, onAway: () => void monitor.check() });
const monitor = new Monitor({ api, store, onReturn: () => searcher.resume() });

/** @param {string | null} value */
function setKey(value) {
  key.set(value);
  store.update({ hasKey: value !== null });
}

const chooser = byId("chooser", HTMLInputElement);
const base = new URL(API_BASE || ".", location.href).href;
const choose = () => chooser.click();
const views = [
  new StatusView({ address: API_BASE || location.origin, actions: { forgetKey: () => setKey(null) } }),
  new QueryView({ base, actions: { choose, clear: () => searcher.clear() } }),
  new ResultsView({
    base,
    actions: {
      pick: (result) => searcher.withResult(result),
      more: () => void searcher.more(),
      setTopK: (topK) => searcher.setTopK(topK),
    },
  }),
  new NoticeView({
    actions: {
      tryNow: () => void monitor.check(),
      retry: () => void searcher.again(),
      more: () => void searcher.more(),
      giveKey: (value) => {
        setKey(value);
        void searcher.again();
      },
      dismissError: () => store.updateSearch({ error: null }),
      dismissHint: () => store.update({ hint: null }),
    },
  }),
];

listen({
  chooser,
  onFiles: (files) => {
    const { file, hint } = pick(files, store.state.service.status?.limits);
    if (file) searcher.withFile(file);
    store.update({ hint });
  },
  onDragging: (dragging) => store.update({ dragging }),
});

const languageButtons = LOCALES.map((locale) => {
  const button = /** @type {HTMLButtonElement} */ (document.querySelector(`[data-locale="${locale}"]`));
  button.addEventListener("click", () => {
    rememberLocale(locale);
    store.update({ locale });
  });
  return { locale, button };
});

let wordsIn = "";
function render() {
  const { state } = store;
  if (wordsIn !== state.locale) {
    wordsIn = state.locale;
    translatePage(document, state.locale);
    for (const { locale, button } of languageButtons) button.setAttribute("aria-pressed", String(locale === state.locale));
  }
  for (const view of views) view.render(state);
}

store.subscribe(render);
render();
window.addEventListener("online", () => void monitor.check());
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") void monitor.check();
});
void monitor.check();
