// @ts-check
/** @import {State} from "../types.js" */
/** @import {ApiError} from "../api.js" */
/** @import {MessageKey, Translator} from "../i18n.js" */
import { byId, changes, el, icon } from "../dom.js";
import { NO_COLLECTION } from "../api.js";
import { translator } from "../i18n.js";
import { isGone } from "./start.js";

/** @typedef {"away" | "warming" | "back" | "error" | "info" | "key"} Tone */

/** What the user must know: the service is away or back, a search failed, a key is wanted, a file was refused. */
export class NoticeView {
  #actions;
  #service = el("div", { role: "status" });
  #error = el("div", { role: "alert" });
  #key = el("div");
  #hint = el("div", { role: "status" });
  #missing = el("div", { role: "status" });
  #serviceChanges = changes();
  #errorChanges = changes();
  #keyChanges = changes();
  #hintChanges = changes();
  #missingChanges = changes();

  /**
   * @param {{actions: {tryNow: () => void, retry: () => void, more: () => void, giveKey: (key: string) => void,
   *          dismissError: () => void, dismissHint: () => void, fetchAgain: () => void}}} parts
   */
  constructor({ actions }) {
    this.#actions = actions;
    // Live regions speak only of what changes inside them, so they are there from the start.
    byId("notices", HTMLElement).append(this.#service, this.#missing, this.#key, this.#error, this.#hint);
  }

  /** @param {State} state */
  render(state) {
    const { locale, service, search, hint, missing } = state;
    const tr = translator(locale);
    const isDown = service.phase === "away" || service.phase === "warming";
    const waits = isDown && search.phase === "error" && !!search.error?.isAway;
    if (this.#serviceChanges(locale, service.phase, service.returned, service.barred, waits)) {
      this.#service.replaceChildren(...this.#serviceNotice(state, waits, tr));
    }
    // What says that the collection is gone offers the others too.
    const isTold = waits || search.phase === "locked" || (search.error?.code === NO_COLLECTION && isGone(service.status));
    const error = isTold ? null : search.error;
    // The service's words are known in this language a moment later than the page's.
    if (this.#errorChanges(locale, error, error && tr.problem(error.code, error.detail))) {
      this.#error.replaceChildren(...(error ? [this.#errorNotice(error, search.phase === "done", tr)] : []));
    }
    if (this.#missingChanges(locale, missing)) {
      const again = this.#button(tr.t("notice.retry"), this.#actions.fetchAgain);
      this.#missing.replaceChildren(...(missing ? [notice("error", words(tr.t("notice.missing")), again)] : []));
    }
    const asksKey = search.phase === "locked";
    if (this.#keyChanges(locale, asksKey, asksKey && search.error)) {
      this.#key.replaceChildren(...(asksKey ? [this.#keyNotice(search.keyRefused, tr)] : []));
      this.#key.querySelector("input")?.focus();
    }
    if (this.#hintChanges(locale, hint)) {
      this.#hint.replaceChildren(
        ...(hint
          ? [notice(hint.tone, [el("p", { dir: "auto" }, tr.t(hint.key, hint.params))], this.#dismiss(this.#actions.dismissHint, tr))]
          : []),
      );
    }
  }

  /**
   * @param {State} state
   * @param {boolean} waits a search waits for the service
   * @param {Translator} tr
   */
  #serviceNotice({ service }, waits, tr) {
    if (service.phase === "away") {
      const detail = tr.t(waits ? "notice.awaySearch" : "notice.awayDetail");
      const tryNow = this.#button(tr.t("notice.tryNow"), this.#actions.tryNow);
      const told = service.barred
        ? words(tr.t("notice.barred"), tr.t("notice.barredDetail", { origin: location.origin }))
        : words(tr.t("notice.away"), detail);
      return [notice("away", told, tryNow)];
    }
    if (service.phase === "warming") {
      const detail = tr.t(waits ? "notice.awaySearch" : "notice.warmingDetail");
      return [notice("warming", words(tr.t("notice.warming"), detail))];
    }
    return service.returned ? [notice("back", words(tr.t("notice.back")))] : [];
  }

  /**
   * @param {ApiError} error
   * @param {boolean} ofNextPage
   * @param {Translator} tr
   */
  #errorNotice(error, ofNextPage, tr) {
    const { heading, fallback } = errorWords(error);
    // Of an address the service says no more than the heading does.
    const said = error.code === "url_fetch_failed" ? "" : tr.problem(error.code, error.detail);
    const detail = said || (fallback ? tr.t(fallback) : error.title);
    const body = words(tr.t(heading), detail);
    if (error.errors.length) {
      body.push(
        el(
          "ul",
          { class: "field-errors" },
          error.errors.map(({ field, reason }) => el("li", {}, [el("code", {}, String(field)), ` ${String(reason)}`])),
        ),
      );
    }
    // What was asked wrongly needs no search in the service's log.
    if (error.requestId && error.status >= 500) body.push(el("p", { class: "fine" }, tr.t("notice.reference", { id: error.requestId })));
    const mayWork = error.isAway || error.status >= 500 || error.status === 429;
    const retry = this.#button(tr.t("notice.retry"), ofNextPage ? this.#actions.more : this.#actions.retry);
    return notice("error", body, mayWork && retry, this.#dismiss(this.#actions.dismissError, tr));
  }

  /**
   * @param {boolean} refused
   * @param {Translator} tr
   */
  #keyNotice(refused, tr) {
    const input = el("input", {
      id: "key-input",
      type: "password",
      autocomplete: "off",
      spellcheck: "false",
      required: true,
      "aria-describedby": "key-lead",
      "aria-invalid": refused ? "true" : null,
    });
    const form = el(
      "form",
      { class: "key-form" },
      [
        el("label", { class: "unseen", for: "key-input" }, tr.t("key.label")),
        input,
        el("button", { class: "button primary", type: "submit" }, tr.t("key.submit")),
      ],
      {
        submit: (event) => {
          event.preventDefault();
          const key = input.value.trim();
          if (key) this.#actions.giveKey(key);
        },
      },
    );
    const lead = el("p", { id: "key-lead", role: refused ? "alert" : null }, tr.t(refused ? "key.refused" : "key.lead"));
    return notice("key", [el("p", { class: "notice-title" }, tr.t("key.heading")), lead, form]);
  }

  /** @param {string} label @param {() => void} click */
  #button(label, click) {
    return el("button", { class: "button small", type: "button" }, label, { click });
  }

  /**
   * @param {() => void} action
   * @param {Translator} tr
   */
  #dismiss(action, tr) {
    const label = tr.t("notice.dismiss");
    return el("button", { class: "icon-button", type: "button", "aria-label": label, title: label }, icon("close"), {
      click: action,
    });
  }
}

/** @type {Record<Tone, string>} */
const ICONS = { away: "alert", warming: "info", back: "check", error: "alert", info: "info", key: "key" };

/**
 * @param {Tone} tone
 * @param {HTMLElement[]} body
 * @param {...(HTMLElement | false)} controls
 */
export function notice(tone, body, ...controls) {
  return el("div", { class: "notice", "data-tone": tone }, [
    icon(ICONS[tone]),
    el("div", { class: "notice-words" }, body),
    el("div", { class: "notice-controls" }, controls),
  ]);
}

/**
 * @param {string} title
 * @param {string} [detail]
 * @returns {HTMLElement[]}
 */
function words(title, detail) {
  return [el("p", { class: "notice-title" }, title), ...(detail ? [el("p", { dir: "auto" }, detail)] : [])];
}

/**
 * @param {Pick<ApiError, "status" | "code">} error
 * @returns {{heading: MessageKey, fallback: MessageKey | null}}
 */
export function errorWords({ status, code }) {
  if (code === NO_COLLECTION) return { heading: "error.collection", fallback: null };
  if (code === "url_fetch_failed") return { heading: "error.urlFetch", fallback: "error.urlFetchDetail" };
  switch (status) {
    case 0:
    case 502:
    case 503:
    case 504:
      return { heading: "error.away", fallback: "error.awayDetail" };
    case 429:
      return { heading: "error.429", fallback: "error.429Detail" };
    case 400:
    case 403:
    case 404:
    case 413:
    case 415:
    case 422:
      return { heading: `error.${status}`, fallback: null };
    default:
      return { heading: status >= 500 ? "error.5xx" : "error.other", fallback: null };
  }
}
