// @ts-check
/** @import {Job, JobFailure, State} from "../types.js" */
/** @import {MessageKey, Translator} from "../i18n.js" */
import { byId, changes, el } from "../dom.js";
import { translator } from "../i18n.js";
import { isActive } from "./jobs.js";
import { announce, reasonOf } from "./telling.js";

const LARGEST_DIM = 256;

/** @type {Record<Job["state"], MessageKey>} */
const STATES = {
  queued: "job.queued",
  running: "job.running",
  done: "job.done",
  failed: "job.failedState",
  cancelled: "job.cancelled",
};

/** Starts indexing, and shows how far the newest job is. */
export class IndexView {
  #actions;
  #section = byId("indexing", HTMLElement);
  #title = el("h2", { id: "indexing-title" });
  #lead = el("p", { class: "fine" });
  #vectorsWords = el("span");
  #vectors = el("select", { name: "vectors" });
  #dimWords = el("span");
  #dim = el("input", { name: "dim", type: "number", min: "1", step: "1", required: true, inputmode: "numeric" });
  #dimField = el("label", { class: "field-block" }, [this.#dimWords, this.#dim]);
  #start = el("button", { class: "button primary", type: "submit" });
  #job = el("div", { class: "job" });
  #error = el("p", { class: "bad", role: "alert", dir: "auto" });
  #wordsChange = changes();
  #jobChanges = changes();
  #announceChanges = changes();

  /**
   * @param {{actions: {start: (projection: string) => void, cancel: () => void, retry: () => void,
   *   failures: () => void}}} parts
   */
  constructor({ actions }) {
    this.#actions = actions;
    const vectors = el("label", { class: "field-block" }, [this.#vectorsWords, this.#vectors]);
    const form = el("form", { class: "index-form" }, [vectors, this.#dimField, this.#start], {
      submit: (event) => {
        event.preventDefault();
        if (this.#start.getAttribute("aria-disabled") === "true") return;
        actions.start(this.#vectors.value === "pca" ? `pca:${this.#dim.valueAsNumber}` : this.#vectors.value);
      },
    });
    this.#vectors.addEventListener("change", () => this.#showDim());
    this.#section.append(this.#title, this.#lead, form, this.#error, this.#job);
  }

  /** @param {State} state */
  render({ library, locale, service }) {
    const { indexing, job, jobError, failures } = library;
    this.#section.hidden = !indexing;
    const tr = translator(locale);
    if (this.#wordsChange(locale)) this.#renderWords(tr);
    if (indexing && !this.#dim.value && service.status?.model) {
      // PCA wants ten pictures for each number.
      const { images, model } = service.status;
      this.#dim.max = String(model.dim);
      this.#dim.value = String(Math.max(1, Math.min(LARGEST_DIM, model.dim, Math.floor(images / 10))));
    }
    if (!this.#jobChanges(locale, job, jobError, failures)) return;
    this.#error.textContent = jobError ? reasonOf(jobError, tr) : "";
    this.#start.setAttribute("aria-disabled", String(isActive(job)));
    this.#renderJob(job, failures, tr);
    if (this.#announceChanges(job?.id, job?.state) && job && indexing) announce(tr.t(STATES[job.state]));
  }

  /** @param {Translator} tr */
  #renderWords(tr) {
    this.#title.textContent = tr.t("job.heading");
    this.#lead.textContent = tr.t("job.lead");
    this.#vectorsWords.textContent = tr.t("job.vectors");
    this.#dimWords.textContent = tr.t("job.dim");
    this.#start.textContent = tr.t("job.start");
    const chosen = this.#vectors.value;
    this.#vectors.replaceChildren(
      ...[
        ["", tr.t("job.asIs")],
        ["pca", tr.t("job.pca")],
        ["none", tr.t("job.none")],
      ].map(([value, words]) => el("option", { value }, words)),
    );
    this.#vectors.value = chosen;
    this.#showDim();
  }

  #showDim() {
    const isPca = this.#vectors.value === "pca";
    this.#dimField.hidden = !isPca;
    this.#dim.disabled = !isPca;
  }

  /**
   * @param {Job | null} job
   * @param {JobFailure[] | null} failures
   * @param {Translator} tr
   */
  #renderJob(job, failures, tr) {
    const hadFocus = this.#job.contains(document.activeElement);
    if (!job) {
      this.#job.replaceChildren(el("p", { class: "fine" }, tr.t("job.never")));
      return;
    }
    const { state, total, done, failed, rate, eta_s: eta, error } = job;
    const active = isActive(job);
    const bar = el("progress", { max: Math.max(1, total), "aria-label": tr.t("job.heading") });
    // Without a value the bar shows that something goes on, not how far it is.
    if (total || !active) bar.value = active ? done : Math.max(1, total);
    const facts = [
      total > 0 && tr.t("job.progress", { n: tr.number(done), of: tr.number(total) }),
      active && rate > 0 && tr.t("job.rate", { n: tr.number(Math.round(rate)) }),
      active && eta !== null && tr.t("job.eta", { time: duration(eta, tr) }),
      failed > 0 && tr.plural("job.failed", failed),
    ].filter(Boolean);
    /** @param {MessageKey} key @param {() => void} click */
    const button = (key, click) => el("button", { class: "button small", type: "button" }, tr.t(key), { click });
    this.#job.replaceChildren(
      el("div", { class: "box-head", "data-state": state }, [
        el("strong", {}, tr.t(STATES[state])),
        active && bar,
        el("span", { class: "fine" }, facts.join(" · ")),
        active && button("manage.cancel", this.#actions.cancel),
        failed > 0 && !failures && button("job.failures", this.#actions.failures),
        (state === "failed" || state === "cancelled" || (state === "done" && failed > 0)) && button("job.retry", this.#actions.retry),
      ]),
      ...(error ? [el("p", { class: "bad", dir: "auto" }, error)] : []),
      ...(failures ? [el("ul", { class: "uploads", tabindex: "0", "aria-label": tr.t("job.failures") }, failures.map(failureRow))] : []),
    );
    if (hadFocus) (this.#job.querySelector("button") ?? this.#start).focus();
  }
}

/** @param {JobFailure} failure */
function failureRow({ item, reason }) {
  return el("li", { "data-phase": "failed" }, [
    el("span", { class: "upload-name", dir: "auto" }, item),
    el("span", { dir: "auto" }, reason),
  ]);
}

/**
 * @param {number} seconds
 * @param {Translator} tr
 */
function duration(seconds, tr) {
  const [value, unit] = seconds < 90 ? [seconds, "second"] : seconds < 5400 ? [seconds / 60, "minute"] : [seconds / 3600, "hour"];
  return new Intl.NumberFormat(tr.locale, { style: "unit", unit, unitDisplay: "long" }).format(Math.ceil(value));
}
