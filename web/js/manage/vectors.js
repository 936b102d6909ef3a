// @ts-check
/** @import {Job, State} from "../types.js" */
/** @import {Translator} from "../i18n.js" */
/** @import {JobActions} from "./jobbox.js" */
import { byId, changes, el, icon } from "../dom.js";
import { formatBytes } from "../format.js";
import { translator } from "../i18n.js";
import { JobBox } from "./jobbox.js";
import { isActive } from "./jobs.js";
import { reasonOf } from "./telling.js";

/** The collection's vectors as a file: away, and back in with the outcome in words. */
export class VectorsView {
  #section = byId("vectors", HTMLElement);
  #title = el("h2", { id: "vectors-title" });
  #lead = el("p", { class: "fine" });
  #takeWords = el("span");
  #take = el("button", { class: "button", type: "button" }, [icon("save"), this.#takeWords]);
  #fileWords = el("span");
  #file = el("input", { type: "file", id: "vectors-file", accept: ".h5,.hdf5,application/x-hdf5", required: true });
  // The browser's own words for it are in its own language; to a screen reader it says the file's name itself.
  #fileShown = el("span", { class: "file-name", dir: "auto" });
  #intoWords = el("span");
  #into = el("input", { name: "into", autocomplete: "off", spellcheck: "false", dir: "ltr", maxlength: "63", pattern: "[A-Za-z]([A-Za-z0-9]|_(?!_))*", required: true });
  #start = el("button", { class: "button primary", type: "submit" });
  #bar = el("progress");
  #barWords = el("span", { class: "fine" });
  #stop = el("button", { class: "button small", type: "button" });
  #sending = el("div", { class: "box-head", hidden: true }, [this.#bar, this.#barWords, this.#stop]);
  #error = el("p", { class: "bad", role: "alert", dir: "auto" });
  #job;
  #wordsChange = changes();
  #choose = "";
  #intoChange = changes();
  #jobChanges = changes();

  /** @param {{actions: JobActions & {take: () => void, bring: (file: File, collection: string) => void}}} parts */
  constructor({ actions }) {
    this.#job = new JobBox({ actions, words: { heading: "vectors.bring", never: "vectors.never" }, start: this.#start });
    const form = el(
      "form",
      { class: "index-form" },
      [
        el("label", { class: "field-block" }, [
          this.#fileWords,
          el("span", { class: "file-field" }, [this.#file, el("span", { class: "button", "aria-hidden": "true" }, [icon("upload"), this.#fileShown])]),
        ]),
        el("label", { class: "field-block" }, [this.#intoWords, this.#into]),
        this.#start,
      ],
      {
        submit: (event) => {
          event.preventDefault();
          const [file] = this.#file.files ?? [];
          if (file && this.#start.getAttribute("aria-disabled") !== "true") actions.bring(file, this.#into.value);
        },
      },
    );
    this.#file.addEventListener("change", () => this.#showFile());
    this.#take.addEventListener("click", actions.take);
    this.#stop.addEventListener("click", actions.cancel);
    this.#section.append(
      el("div", { class: "box-head" }, [this.#title, this.#take]),
      this.#lead,
      form,
      this.#sending,
      this.#error,
      this.#job.element,
    );
  }

  /** @param {State} state */
  render({ library: { vectors }, locale, service: { status }, collection }) {
    const { open, job, error, failures, sending, isPast } = vectors;
    this.#section.hidden = !open;
    const tr = translator(locale);
    if (this.#wordsChange(locale)) this.#renderWords(tr);
    const here = collection || status?.collection || "";
    if (this.#intoChange(here)) this.#into.value = here;
    if (!this.#jobChanges(locale, job, error, failures, sending, isPast, open)) return;
    this.#error.textContent = error ? reasonOf(error, tr) : "";
    this.#start.setAttribute("aria-disabled", String(isActive(job) || !!sending));
    const hadFocus = this.#sending.contains(document.activeElement);
    this.#sending.hidden = !sending;
    if (hadFocus && !sending) this.#start.focus();
    if (sending) {
      this.#bar.max = sending.sizeBytes;
      this.#bar.value = sending.sentBytes;
      this.#bar.setAttribute("aria-label", tr.t("vectors.sending"));
      const [sent, size] = [formatBytes(sending.sentBytes), formatBytes(sending.sizeBytes)];
      this.#barWords.textContent = tr.t("vectors.sent", { name: sending.name, sent, size });
    }
    this.#job.element.hidden = isPast;
    this.#job.render({ job, failures, isShown: open && !isPast, outcome: job ? outcomeOf(job, tr) : "" }, tr);
  }

  /** @param {Translator} tr */
  #renderWords(tr) {
    this.#title.textContent = tr.t("vectors.heading");
    this.#lead.textContent = tr.t("vectors.lead");
    this.#takeWords.textContent = tr.t("vectors.take");
    this.#fileWords.textContent = tr.t("vectors.file");
    this.#choose = tr.t("vectors.choose");
    this.#showFile();
    this.#intoWords.textContent = tr.t("vectors.into");
    this.#start.textContent = tr.t("vectors.bring");
    this.#stop.textContent = tr.t("manage.cancel");
  }

  #showFile() {
    this.#fileShown.textContent = this.#file.files?.[0]?.name ?? this.#choose;
  }
}

/**
 * What an import brought, in words.
 * @param {Job} job
 * @param {Translator} tr
 */
export function outcomeOf({ result }, tr) {
  if (!result) return "";
  const [added, known, bare, failed] = ["added", "unchanged", "without_picture", "failed"].map((name) => Number(result[name]) || 0);
  const counts = [
    tr.plural("add.added", added),
    known > 0 && tr.plural("add.known", known),
    failed > 0 && tr.plural("add.failed", failed),
    bare > 0 && tr.plural("vectors.bare", bare),
  ];
  return `${String(result.collection)}: ${counts.filter(Boolean).join(" · ")}`;
}

/** Has the browser fetch a file, beside the page. @param {string} url */
export function follow(url) {
  const isOwn = new URL(url, location.href).origin === location.origin;
  // Of another origin a browser takes no `download`: a refusal must not take the page's place.
  const link = el("a", { href: url, download: isOwn && "", target: !isOwn && "_blank", rel: "noopener", hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
}
