// @ts-check
/** @import {SearchResult, State} from "../types.js" */
/** @import {Translator} from "../i18n.js" */
import { byId, changes, el, icon, replaceWhenBroken } from "../dom.js";
import { barFill, displayName, formatScore, safeUrl, topKChoices } from "../format.js";
import { translator } from "../i18n.js";

const MOST_SKELETONS = 12;

/** The grid of results, its heading and what follows it. */
export class ResultsView {
  #base;
  #actions;
  #title = byId("results-title", HTMLElement);
  #topK = byId("top-k", HTMLSelectElement);
  #grid = byId("grid", HTMLOListElement);
  #foot = byId("results-foot", HTMLElement);
  #live = byId("live", HTMLElement);
  #more = el("button", { class: "button", type: "button" });
  #topKChanges = changes();
  #headChanges = changes();
  #gridChanges = changes();
  #footChanges = changes();
  #announceChanges = changes();
  /** @type {{results: SearchResult[], locale: string}} */
  #shown = { results: [], locale: "" };

  /**
   * @param {{base: string, actions: {pick: (result: SearchResult) => void, more: () => void,
   *          setTopK: (topK: number) => void}}} parts
   */
  constructor({ base, actions }) {
    this.#base = base;
    this.#actions = actions;
    this.#more.addEventListener("click", actions.more);
    this.#topK.addEventListener("change", () => actions.setTopK(Number(this.#topK.value)));
  }

  /** @param {State} state */
  render(state) {
    const { search, locale, topK } = state;
    const tr = translator(locale);
    const maxTopK = state.service.status?.limits?.max_top_k ?? 1000;
    if (this.#topKChanges(topK, maxTopK)) this.#renderTopK(topK, maxTopK);
    if (this.#headChanges(locale, search.phase, search.results.length)) this.#title.textContent = headingOf(state, tr);
    if (this.#gridChanges(locale, search.phase, search.results, state.query)) this.#renderGrid(state, tr);
    if (this.#footChanges(locale, search)) this.#renderFoot(state, tr);
    if (this.#announceChanges(search.phase, search.answer)) this.#live.textContent = announcementOf(state, tr);
  }

  /**
   * @param {number} topK
   * @param {number} maxTopK
   */
  #renderTopK(topK, maxTopK) {
    const choices = [...new Set([...topKChoices(maxTopK), topK])].sort((a, b) => a - b);
    this.#topK.replaceChildren(
      ...choices.map((size) => el("option", { value: size, selected: size === topK }, String(size))),
    );
    this.#topK.value = String(topK);
  }

  /**
   * @param {State} state
   * @param {Translator} tr
   */
  #renderGrid({ search, topK, locale }, tr) {
    const before = this.#shown;
    this.#shown = { results: search.results, locale };
    this.#grid.setAttribute("aria-busy", String(search.phase === "loading"));

    // The next page is appended: pictures already shown keep their place, focus and loaded thumbnails.
    const isNextPage = before.results.length > 0 && before.locale === locale && before.results[0] === search.results[0];
    if (isNextPage && search.phase === "done") {
      this.#grid.append(...search.results.slice(before.results.length).map((result) => this.#card(result, tr)));
      return;
    }
    const hadFocus = this.#grid.contains(document.activeElement);
    if (search.phase === "loading") {
      this.#grid.replaceChildren(...Array.from({ length: Math.min(topK, MOST_SKELETONS) }, skeleton));
    } else if (search.results.length) {
      this.#grid.replaceChildren(...search.results.map((result) => this.#card(result, tr)));
    } else {
      this.#grid.replaceChildren();
    }
    // The card that was pressed is gone; the heading is where its answer begins.
    if (hadFocus) {
      this.#title.focus({ preventScroll: true });
      window.scrollTo({ top: 0 });
    }
  }

  /**
   * @param {SearchResult} result
   * @param {Translator} tr
   */
  #card(result, tr) {
    const name = displayName(result);
    const score = formatScore(result.score);
    const rank = tr.number(result.rank);
    const source = safeUrl(result.thumbnail_url, this.#base);
    const full = safeUrl(result.url, this.#base);

    const picture = el("span", { class: "card-picture" });
    if (source) {
      const image = el("img", {
        src: source,
        alt: "",
        width: result.width || 1,
        height: result.height || 1,
        loading: "lazy",
        decoding: "async",
        draggable: "false",
      });
      replaceWhenBroken(image, tr.t("result.broken"));
      picture.append(image);
    } else {
      picture.append(el("span", { class: "broken" }, icon("picture")));
    }
    picture.append(el("span", { class: "card-hint", "aria-hidden": "true" }, [icon("search"), tr.t("result.searchHint")]));

    const fill = el("span", { class: "score-fill" });
    fill.style.setProperty("--fill", String(barFill(result.score)));
    const others = result.sources.length - 1;
    const badge = { identical: tr.t("result.identical"), near_duplicate: tr.t("result.nearDuplicate"), similar: "" };

    return el("li", { class: "card", "data-id": result.id }, [
      el(
        "button",
        { class: "card-pick", type: "button", "aria-label": tr.t("result.searchWith", { name, rank, score }) },
        picture,
        { click: () => this.#actions.pick(result) },
      ),
      el("div", { class: "card-words" }, [
        el("div", { class: "card-line" }, [
          el("span", { class: "rank", title: tr.t("result.rank", { rank }) }, rank),
          el("span", { class: "score-bar", "aria-hidden": "true" }, fill),
          el("span", { class: "score", title: tr.t("result.score", { score }) }, score),
        ]),
        el("div", { class: "card-line" }, [
          el("div", { class: "card-names" }, [
            el("span", { class: "card-title", dir: "auto", title: result.title || result.source_name }, name),
            el("span", { class: "card-source", dir: "auto", title: result.sources.join("\n") }, [
              result.source_name === name ? null : result.source_name,
              others > 0 && ` ${tr.plural("result.moreSources", others)}`,
            ]),
          ]),
          full &&
            el(
              "a",
              {
                class: "icon-button",
                href: full,
                target: "_blank",
                rel: "noopener",
                "aria-label": tr.t("result.open", { name }),
                title: tr.t("query.open"),
              },
              icon("open"),
            ),
        ]),
      ]),
      badge[result.match] ? el("span", { class: "badge" }, [icon("check"), badge[result.match]]) : null,
    ]);
  }

  /**
   * @param {State} state
   * @param {Translator} tr
   */
  #renderFoot({ search }, tr) {
    if (search.phase === "done" && search.results.length === 0) {
      this.#foot.replaceChildren(
        el("div", { class: "nothing" }, [icon("picture"), el("p", {}, tr.t("results.noneDetail"))]),
      );
    } else if (search.phase === "done" && search.answer?.page.has_more) {
      this.#more.textContent = tr.t(search.loadingMore ? "results.loadingMore" : "results.more");
      // Not `disabled`, which would throw the keyboard's focus away; a second press is ignored.
      this.#more.setAttribute("aria-disabled", String(search.loadingMore));
      if (this.#more.parentNode !== this.#foot) this.#foot.replaceChildren(this.#more);
    } else if (search.phase === "done") {
      this.#foot.replaceChildren(el("p", { class: "fine" }, tr.t("results.end")));
    } else if (search.phase === "error" || search.phase === "locked") {
      this.#foot.replaceChildren(el("div", { class: "nothing" }, icon("picture")));
    } else {
      this.#foot.replaceChildren();
    }
  }
}

/**
 * @param {State} state
 * @param {Translator} tr
 */
function headingOf({ search }, tr) {
  if (search.phase === "loading") return tr.t("results.loading");
  if (search.phase !== "done") return tr.t("results.waiting");
  return search.results.length ? tr.plural("results.count", search.results.length) : tr.t("results.none");
}

/**
 * @param {State} state
 * @param {Translator} tr
 */
function announcementOf({ search }, tr) {
  if (search.phase === "loading") return tr.t("results.loading");
  if (search.phase !== "done") return "";
  const [first] = search.results;
  if (!first) return tr.t("results.none");
  return tr.t("results.announce", {
    count: tr.plural("results.count", search.results.length),
    name: displayName(first),
    score: formatScore(first.score),
  });
}

function skeleton() {
  return el("li", { class: "card skeleton", "aria-hidden": "true" }, [
    el("span", { class: "card-picture" }),
    el("div", { class: "card-words" }, [el("span", { class: "bone" }), el("span", { class: "bone short" })]),
  ]);
}
