// @ts-check
/** @import {DeletedImage, State, StoredImage, Which} from "../types.js" */
/** @import {Translator} from "../i18n.js" */
/** @import {Picking} from "../views/card.js" */
import { byId, changes, el, icon, replaceWhenBroken } from "../dom.js";
import { displayName, safeUrl } from "../format.js";
import { translator } from "../i18n.js";
import { walkable } from "../views/arrows.js";
import { announce, reasonOf } from "./telling.js";

/**
 * @typedef {Picking & {open: (which: Which) => void, more: () => void, again: () => void,
 *   edit: (image: StoredImage) => void, remove: (image: StoredImage) => void, restore: (image: DeletedImage) => void,
 *   destroy: (image: DeletedImage) => void, mark: (ids: string[], on: boolean) => void,
 *   add: (files: File[]) => void, index: (open: boolean) => void, vectors: (open: boolean) => void}} BrowseActions
 */

/** @type {readonly Which[]} */
const WHICH = ["all", "new", "random", "trash"];

/** The library itself: which pictures are shown, what can be done with each, and where more are added. */
export class BrowseView {
  #base;
  #actions;
  #section = byId("library", HTMLElement);
  #drag = /** @type {HTMLElement} */ (byId("drag", HTMLElement).querySelector("span"));
  #title = byId("library-title", HTMLElement);
  #shown = byId("library-shown", HTMLElement);
  #addWords = el("span");
  #addHint = el("p", { class: "fine library-hint" });
  #files = el("input", { type: "file", accept: "image/*", multiple: true, hidden: true, id: "add-chooser" });
  #indexWords = el("span");
  #index = el("button", { class: "button", type: "button", "aria-controls": "indexing" }, this.#indexWords);
  #vectorsWords = el("span");
  #vectors = el("button", { class: "button", type: "button", "aria-controls": "vectors" }, this.#vectorsWords);
  #which = el("div", { class: "switch", role: "group" });
  #others = el("button", { class: "button small", type: "button" });
  #grid = el("ol", { class: "grid" });
  #foot = el("div", { class: "results-foot" });
  #more = el("button", { class: "button", type: "button" });
  #fillsItself = false;
  #headChanges = changes();
  #marksChange = changes();
  #gridChanges = changes();
  #footChanges = changes();
  /** @type {Map<StoredImage | DeletedImage, HTMLElement>} */
  #cards = new Map();
  #cardsIn = "";

  /** @param {{base: string, actions: BrowseActions}} parts */
  constructor({ base, actions }) {
    this.#base = base;
    this.#actions = actions;
    const add = el("button", { class: "button primary", type: "button", id: "add" }, [icon("upload"), this.#addWords], {
      click: () => this.#files.click(),
    });
    this.#title.parentElement?.append(add, this.#index, this.#vectors);
    this.#section.append(
      this.#addHint,
      this.#files,
      el("section", { id: "adding", class: "box", "aria-labelledby": "adding-title", hidden: true }),
      el("section", { id: "indexing", class: "box", "aria-labelledby": "indexing-title", hidden: true }),
      el("section", { id: "vectors", class: "box", "aria-labelledby": "vectors-title", hidden: true }),
      el("div", { class: "library-bar" }, [this.#which, this.#others, el("div", { id: "selection", class: "selection" })]),
      this.#grid,
      this.#foot,
    );
    this.#files.addEventListener("change", () => {
      const files = [...(this.#files.files ?? [])];
      // Emptied, so that choosing the same files again is a change again.
      this.#files.value = "";
      actions.add(files);
    });
    this.#index.addEventListener("click", () => actions.index(this.#index.getAttribute("aria-expanded") !== "true"));
    this.#vectors.addEventListener("click", () => actions.vectors(this.#vectors.getAttribute("aria-expanded") !== "true"));
    this.#others.addEventListener("click", () => actions.open("random"));
    this.#more.addEventListener("click", actions.more);
    walkable(this.#grid);
    new IntersectionObserver(
      ([entry]) => {
        if (entry.isIntersecting && this.#fillsItself) actions.more();
      },
      { rootMargin: "0px 0px 600px" },
    ).observe(this.#more);
  }

  /** @param {State} state */
  render(state) {
    const { library, locale, thumbPx } = state;
    const tr = translator(locale);
    if (this.#headChanges(locale, library.which, library.indexing, library.vectors.open, thumbPx)) this.#renderHead(state, tr);
    const items = library.which === "trash" ? library.deleted : library.images;
    if (this.#gridChanges(locale, items)) this.#renderGrid(items, tr);
    if (this.#marksChange(locale, items, library.selecting, library.selected)) this.#renderMarks(library.selecting, library.selected);
    if (this.#footChanges(locale, library.which, library.phase, library.next, library.error, items.length)) {
      this.#renderFoot(state, items.length, tr);
    }
  }

  /**
   * @param {State} state
   * @param {Translator} tr
   */
  #renderHead({ library: { which, indexing, vectors }, thumbPx }, tr) {
    this.#vectorsWords.textContent = tr.t("library.vectors");
    this.#vectors.setAttribute("aria-expanded", String(vectors.open));
    this.#addWords.textContent = tr.t("library.add");
    this.#addHint.textContent = tr.t("library.addHint");
    this.#files.setAttribute("aria-label", tr.t("library.add"));
    this.#indexWords.textContent = tr.t("library.index");
    this.#index.setAttribute("aria-expanded", String(indexing));
    this.#which.setAttribute("aria-label", tr.t("library.show"));
    this.#others.textContent = tr.t("library.others");
    this.#others.hidden = which !== "random";
    this.#drag.textContent = tr.t(which ? "library.release" : "drag.release");
    this.#grid.style.setProperty("--thumb", `${thumbPx}px`);
    WHICH.forEach((one, place) => {
      const known = this.#which.children[place];
      const button = known ?? el("button", { type: "button", "data-which": one }, [], { click: () => this.#actions.open(one) });
      if (!known) this.#which.append(button);
      button.textContent = tr.t(`library.${one}`);
      button.setAttribute("aria-pressed", String(one === which));
    });
  }

  /**
   * @param {boolean} selecting
   * @param {readonly string[]} selected
   */
  #renderMarks(selecting, selected) {
    const ids = new Set(selected);
    this.#grid.toggleAttribute("data-selecting", selecting);
    for (const [{ id }, card] of this.#cards) {
      const mark = card.querySelector("input");
      if (mark) mark.checked = ids.has(id);
    }
  }

  /**
   * @param {readonly (StoredImage | DeletedImage)[]} items
   * @param {Translator} tr
   */
  #renderGrid(items, tr) {
    const before = this.#cardsIn === tr.locale ? this.#cards : new Map();
    this.#cardsIn = tr.locale;
    this.#cards = new Map(items.map((item) => [item, before.get(item) ?? this.#card(item, tr)]));
    const wanted = [...this.#cards.values()];
    const kept = new Set(wanted);
    const old = [...this.#grid.children];
    const focused = old.findIndex((card) => card.contains(document.activeElement));
    const isLost = focused >= 0 && !kept.has(/** @type {HTMLElement} */ (old[focused]));
    for (const card of old) if (!kept.has(/** @type {HTMLElement} */ (card))) card.remove();
    wanted.forEach((card, place) => {
      if (this.#grid.children[place] !== card) this.#grid.insertBefore(card, this.#grid.children[place] ?? null);
    });
    // What was pressed is gone: its place is where the keyboard goes on.
    if (isLost) (wanted[Math.min(focused, wanted.length - 1)]?.querySelector("button") ?? this.#title).focus();
  }

  /**
   * @param {State} state
   * @param {number} shown
   * @param {Translator} tr
   */
  #renderFoot({ library: { which, phase, next, error } }, shown, tr) {
    this.#fillsItself = false;
    this.#grid.setAttribute("aria-busy", String(phase === "loading"));
    this.#shown.textContent = phase === "done" && shown ? tr.t("library.shown", { n: tr.number(shown) }) : "";
    if (phase === "loading") {
      this.#foot.replaceChildren(el("p", { class: "fine" }, tr.t("library.loading")));
    } else if (error) {
      const again = el("button", { class: "button", type: "button" }, tr.t(error.status === 401 ? "library.giveKey" : "notice.retry"), {
        click: this.#actions.again,
      });
      this.#foot.replaceChildren(el("div", { class: "nothing", role: "alert" }, [el("p", { dir: "auto" }, reasonOf(error, tr)), again]));
    } else if (next) {
      this.#more.textContent = tr.t(phase === "more" ? "results.loadingMore" : "results.more");
      this.#more.setAttribute("aria-disabled", String(phase === "more"));
      this.#fillsItself = phase === "done";
      // Put in anew, so that the observer looks again whether it is still in sight.
      this.#foot.replaceChildren(this.#more);
    } else if (shown) {
      this.#foot.replaceChildren(el("p", { class: "fine" }, which === "random" ? "" : tr.t("results.end")));
    } else {
      const words = tr.t(which === "trash" ? "library.emptyTrash" : "library.empty");
      this.#foot.replaceChildren(el("div", { class: "nothing" }, [icon("picture"), el("p", {}, words)]));
    }
    if (which && phase === "done") announce(shown ? tr.t("library.shown", { n: tr.number(shown) }) : (this.#foot.textContent ?? ""));
  }

  /**
   * @param {StoredImage | DeletedImage} item
   * @param {Translator} tr
   */
  #card(item, tr) {
    const name = displayName(item);
    const title = el("span", { class: "card-title", dir: "auto", title: name.slice(0, 300) }, name);
    const picture = el("span", { class: "card-picture" });
    const mark = el("input", { class: "card-mark", type: "checkbox", "aria-label": tr.t("library.mark", { name }) }, [], {
      change: () => this.#actions.mark([item.id], mark.checked),
    });
    if ("deleted_at" in item) {
      const day = new Date(item.deleted_at).toLocaleDateString(tr.locale);
      picture.append(el("span", { class: "broken" }, icon("bin")));
      const label = tr.t("library.restore", { name });
      const destroy = tr.t("library.destroy", { name });
      return el("li", { class: "card", "data-id": item.id }, [
        mark,
        picture,
        el("div", { class: "card-words" }, [
          title,
          el("span", { class: "card-reason" }, tr.t("library.deletedAt", { day })),
          el("button", { class: "button small", type: "button", "aria-label": label }, [icon("undo"), tr.t("library.restoreHint")], {
            click: () => this.#actions.restore(item),
          }),
          el("button", { class: "button small quiet", type: "button", "aria-label": destroy }, tr.t("library.destroyHint"), {
            click: () => this.#actions.destroy(item),
          }),
        ]),
      ]);
    }
    const source = safeUrl(item.thumbnail_url, this.#base);
    if (source) {
      const size = { width: item.width || 1, height: item.height || 1 };
      const image = el("img", { src: source, alt: "", ...size, loading: "lazy", decoding: "async", draggable: "false" });
      replaceWhenBroken(image, tr.t("result.broken"));
      picture.append(image);
    } else {
      picture.append(el("span", { class: "broken" }, icon("picture")));
    }
    /** @param {string} sign @param {string} label @param {string} hint @param {() => void} click */
    const act = (sign, label, hint, click) =>
      el("button", { class: "icon-button", type: "button", "aria-label": label, title: hint, "data-act": sign }, icon(sign), { click });
    return el("li", { class: "card", "data-id": item.id }, [
      mark,
      el("button", { class: "card-pick", type: "button", "aria-label": tr.t("library.view", { name }) }, picture, {
        click: () => this.#actions.view(item),
      }),
      el("div", { class: "card-words" }, [
        title,
        el("div", { class: "card-line" }, [
          el("span", { class: "card-reason" }, `${item.width} × ${item.height}`),
          act("search", tr.t("result.searchWith", { name }), tr.t("result.searchHint"), () => this.#actions.searchWith(item)),
          act("edit", tr.t("library.edit", { name }), tr.t("viewer.edit"), () => this.#actions.edit(item)),
          act("bin", tr.t("library.delete", { name }), tr.t("viewer.delete"), () => this.#actions.remove(item)),
        ]),
      ]),
    ]);
  }
}
