// @ts-check
/** @import {SearchResult, State} from "../types.js" */
/** @import {Translator} from "../i18n.js" */
/** @import {Picking} from "./card.js" */
import { byId, changes, el, icon } from "../dom.js";
import { visible } from "../filters.js";
import { displayName, formatScore } from "../format.js";
import { translator } from "../i18n.js";
import { walkable } from "./arrows.js";
import { cardOf, renewed } from "./card.js";

/**
 * @typedef {Picking & {more: () => void, setTopK: (topK: number) => void, setThumb: (px: number) => void,
 *   showNearest: () => void}} ResultsActions
 */

const MOST_SKELETONS = 12;

/** The grid of results, its heading and what follows it; it fills as one scrolls. */
export class ResultsView {
  #base;
  #actions;
  #section = byId("results", HTMLElement);
  #title = byId("results-title", HTMLElement);
  #topK = byId("top-k", HTMLInputElement);
  #topKShown = byId("top-k-shown", HTMLOutputElement);
  #thumb = byId("thumb", HTMLInputElement);
  #grid = byId("grid", HTMLOListElement);
  #foot = byId("results-foot", HTMLElement);
  #live = byId("live", HTMLElement);
  #more = el("button", { class: "button", type: "button" });
  #sizeChanges = changes();
  #headChanges = changes();
  #gridChanges = changes();
  #footChanges = changes();
  #announceChanges = changes();
  #fillsItself = false;
  #sight = new IntersectionObserver(
    ([entry]) => {
      if (entry.isIntersecting && this.#fillsItself) this.#actions.more();
    },
    { rootMargin: "0px 0px 600px" },
  );
  /** @type {{results: SearchResult[], locale: string, canUnlike: boolean}} */
  #shown = { results: [], locale: "", canUnlike: false };

  /** @param {{base: string, actions: ResultsActions}} parts */
  constructor({ base, actions }) {
    this.#base = base;
    this.#actions = actions;
    walkable(this.#grid);
    this.#more.addEventListener("click", actions.more);
    this.#topK.addEventListener("input", () => (this.#topKShown.value = this.#topK.value));
    this.#topK.addEventListener("change", () => actions.setTopK(Number(this.#topK.value)));
    this.#thumb.addEventListener("input", () => actions.setThumb(Number(this.#thumb.value)));
  }

  /** @param {State} state */
  render(state) {
    const { search, locale, topK, thumbPx, filters } = state;
    const tr = translator(locale);
    this.#section.hidden = state.rows.length > 0;
    if (this.#sizeChanges(topK, thumbPx)) {
      this.#topK.value = this.#topKShown.value = String(topK);
      this.#thumb.value = String(thumbPx);
      this.#grid.style.setProperty("--thumb", `${thumbPx}px`);
    }
    if (this.#headChanges(locale, search, filters.match)) this.#title.textContent = headingOf(state, tr);
    if (this.#gridChanges(locale, search, filters.match, state.query)) this.#renderGrid(state, tr);
    if (this.#footChanges(locale, search, filters.match)) this.#renderFoot(state, tr);
    // What changes with every frame is not told each time.
    const told = isLive(state) ? [] : [search.phase, search.answer];
    if (this.#announceChanges(...told)) this.#live.textContent = announcementOf(state, tr);
  }

  /**
   * @param {State} state
   * @param {Translator} tr
   */
  #renderGrid(state, tr) {
    const { search, topK, locale, query } = state;
    const results = isHidden(state) ? [] : visible(state);
    const waits = search.phase === "loading";
    this.#grid.setAttribute("aria-busy", String(waits));
    const before = this.#shown;
    const canUnlike = !!query;
    if (waits && !results.length) {
      this.#shown = { results: [], locale, canUnlike };
      this.#fill(Array.from({ length: Math.min(topK, MOST_SKELETONS) }, skeleton));
      return;
    }
    this.#shown = { results, locale, canUnlike };
    const parts = { base: this.#base, tr, actions: this.#actions, canUnlike, best: results[0]?.score };
    if (isLive(state) && before.locale === locale) return this.#follow(results, parts);
    // Pictures already shown keep their place, focus and loaded thumbnails.
    const isMore =
      before.locale === locale &&
      before.canUnlike === canUnlike &&
      before.results.length > 0 &&
      before.results.length <= results.length &&
      before.results.every((result, place) => result === results[place]);
    const fresh = isMore ? results.slice(before.results.length) : results;
    const cards = fresh.map((result) => cardOf(result, parts));
    if (isMore) this.#grid.append(...cards);
    else this.#fill(cards);
  }

  /**
   * As few cards as possible change, so that they can be looked at, and pressed.
   * @param {SearchResult[]} results
   * @param {Parameters<typeof cardOf>[1]} parts
   */
  #follow(results, parts) {
    const shown = new Map([...this.#grid.children].map((card) => [card.getAttribute("data-id"), card]));
    const cards = results.map((result) => renewed(shown.get(result.id), result, parts) ?? cardOf(result, parts));
    const wanted = new Set(cards);
    const hadFocus = this.#grid.contains(document.activeElement);
    for (const card of [...this.#grid.children]) if (!wanted.has(/** @type {HTMLLIElement} */ (card))) card.remove();
    cards.forEach((card, place) => {
      const there = this.#grid.children[place];
      if (there !== card) this.#grid.insertBefore(card, there ?? null);
    });
    if (hadFocus && !this.#grid.contains(document.activeElement)) this.#title.focus({ preventScroll: true });
  }

  /** @param {HTMLElement[]} cards */
  #fill(cards) {
    const hadFocus = this.#grid.contains(document.activeElement);
    this.#grid.replaceChildren(...cards);
    // The card that was pressed is gone; the heading is where its answer begins.
    if (!hadFocus) return;
    this.#title.focus({ preventScroll: true });
    window.scrollTo({ top: 0 });
  }

  /**
   * @param {State} state
   * @param {Translator} tr
   */
  #renderFoot(state, tr) {
    const { search } = state;
    const { phase } = search;
    const shown = visible(state).length;
    this.#fillsItself = false;
    if (isLive(state) && shown) {
      this.#foot.replaceChildren();
    } else if (phase === "done" && isHidden(state)) {
      const show = el("button", { class: "button", type: "button" }, tr.t("results.showNearest"), {
        click: () => {
          this.#actions.showNearest();
          this.#title.focus();
        },
      });
      this.#foot.replaceChildren(nothing(tr.t("results.nothingClose"), show));
    } else if (phase === "done" && search.answer?.page.has_more) {
      this.#more.textContent = tr.t(search.loadingMore ? "results.loadingMore" : "results.more");
      // Not `disabled`, which would throw the keyboard's focus away; a second press is ignored.
      this.#more.setAttribute("aria-disabled", String(search.loadingMore));
      // After an error, and where the shown kind of match has come to its end, only the button goes on.
      const { results, error } = search;
      this.#fillsItself = !search.loadingMore && !error && visible({ ...state, search: { ...search, results: results.slice(-1) } }).length > 0;
      this.#foot.replaceChildren(...(shown ? [] : [nothing(tr.t("results.noneMatch"))]), this.#more);
      // Watched anew: the button may be in sight still, on which the observer would not say a word.
      this.#sight.unobserve(this.#more);
      this.#sight.observe(this.#more);
    } else if (phase === "done") {
      this.#foot.replaceChildren(shown ? el("p", { class: "fine" }, tr.t("results.end")) : nothing(tr.t(emptyKey(state))));
    } else if (phase === "error" || phase === "locked") {
      this.#foot.replaceChildren(nothing());
    } else {
      this.#foot.replaceChildren();
    }
  }
}

/** @param {State} state */
function isLive({ query }) {
  return query?.kind === "live";
}

/** Nothing is near, and what is nearest has not been asked for. @param {State} state */
function isHidden({ search }) {
  return search.answer?.nothing_close === true && search.results.length > 0 && !search.showNearest;
}

/** @param {State} state */
function emptyKey({ service, search }) {
  if (search.results.length) return "results.noneMatch";
  return service.status?.images ? "results.noneFound" : "results.noneDetail";
}

/**
 * How many there are: what words found need not be similar to any picture.
 * @param {State} state
 * @param {Translator} tr
 */
function countOf(state, tr) {
  return tr.plural(state.words ? "results.found" : "results.count", visible(state).length);
}

/**
 * @param {State} state
 * @param {Translator} tr
 */
export function headingOf(state, tr) {
  const { search } = state;
  if (search.phase === "loading") return tr.t("results.loading");
  if (search.phase !== "done") return tr.t("results.waiting");
  if (isHidden(state)) return tr.t("results.noneClose");
  if (!visible(state).length) return tr.t("results.none");
  const isNear = search.answer?.nothing_close === true;
  return countOf(state, tr) + (isNear ? ` · ${tr.t("results.notClose")}` : "");
}

/**
 * @param {State} state
 * @param {Translator} tr
 */
function announcementOf(state, tr) {
  const { search } = state;
  if (isLive(state)) return tr.t("live.runs");
  if (search.phase === "loading") return tr.t("results.loading");
  if (search.phase !== "done") return "";
  if (isHidden(state)) return tr.t("results.nothingClose");
  const [first] = visible(state);
  if (!first) return tr.t("results.none");
  return tr.t("results.announce", {
    count: countOf(state, tr),
    name: displayName(first).slice(0, 200),
    score: formatScore(first.score),
  });
}

/**
 * @param {string} [words]
 * @param {HTMLElement} [button]
 */
function nothing(words, button) {
  return el("div", { class: "nothing" }, [icon("picture"), words && el("p", {}, words), button]);
}

function skeleton() {
  return el("li", { class: "card skeleton", "aria-hidden": "true" }, [
    el("span", { class: "card-picture" }),
    el("div", { class: "card-words" }, [el("span", { class: "bone" }), el("span", { class: "bone short" })]),
  ]);
}
