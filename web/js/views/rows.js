// @ts-check
/** @import {FileQuery, Row, State} from "../types.js" */
/** @import {Translator} from "../i18n.js" */
/** @import {Picking} from "./card.js" */
import { byId, changes, el, icon, replaceWhenBroken } from "../dom.js";
import { translator } from "../i18n.js";
import { cardOf } from "./card.js";
import { errorWords } from "./notice.js";

/** Several pictures at once: each with a row of its results. */
export class RowsView {
  #base;
  #actions;
  #section = byId("rows", HTMLElement);
  #title = el("h1", { class: "unseen" });
  #live = byId("live", HTMLElement);
  #changed = changes();
  /** @type {Map<FileQuery, {row: Row, locale: string, element: HTMLElement}>} */
  #shown = new Map();

  /** @param {{base: string, actions: Picking & {only: (query: FileQuery) => void}}} parts */
  constructor({ base, actions }) {
    this.#base = base;
    this.#actions = actions;
  }

  /** @param {State} state */
  render({ rows, locale }) {
    if (!this.#changed(rows, locale)) return;
    const tr = translator(locale);
    this.#section.hidden = !rows.length;
    // A row that did not change stays as it is: its place in its scroll, its pictures.
    const elements = rows.map((row) => {
      const known = this.#shown.get(row.query);
      return { row, locale, element: known?.row === row && known.locale === locale ? known.element : this.#row(row, tr) };
    });
    this.#shown = new Map(elements.map((shown) => [shown.row.query, shown]));
    this.#title.textContent = tr.t("rows.label");
    this.#section.replaceChildren(this.#title, ...elements.map(({ element }) => element));
    if (rows.length && rows.every(({ phase }) => phase !== "loading")) {
      this.#live.textContent = tr.plural("rows.count", rows.length);
    }
  }

  /**
   * @param {Row} row
   * @param {Translator} tr
   */
  #row({ query, phase, results, error }, tr) {
    const name = query.name || tr.t("query.pasted");
    const image = el("img", { src: query.previewUrl, alt: "" });
    replaceWhenBroken(image, tr.t("result.broken"));
    const parts = { base: this.#base, tr, actions: this.#actions };
    const told = error
      ? error.detail || tr.t(errorWords(error).heading)
      : phase === "loading"
        ? tr.t("results.loading")
        : results.length
          ? ""
          : tr.t("results.none");
    return el("section", { class: "row", "aria-label": name }, [
      el("div", { class: "row-query" }, [
        image,
        el("p", { class: "query-name", dir: "auto", title: name }, name),
        el("button", { class: "link", type: "button" }, [icon("search"), tr.t("rows.only")], {
          click: () => this.#actions.only(query),
        }),
      ]),
      told
        ? el("p", { class: "row-told fine", dir: "auto" }, told)
        : el("ol", { class: "row-results" }, results.map((result) => cardOf(result, parts))),
    ]);
  }
}
