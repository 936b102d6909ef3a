// @ts-check
/** @import {Job, JobFailure} from "../types.js" */
/** @import {MessageKey, Translator} from "../i18n.js" */
import { changes, el } from "../dom.js";
import { isActive } from "./jobs.js";
import { announce } from "./telling.js";

/** @typedef {{cancel: () => void, retry: () => void, failures: () => void}} JobActions */

/** @type {Record<Job["state"], MessageKey>} */
const STATES = {
  queued: "job.queued",
  running: "job.running",
  done: "job.done",
  failed: "job.failedState",
  cancelled: "job.cancelled",
};

/** How far a job is, what can be done with it, and what it could not do. */
export class JobBox {
  #actions;
  #words;
  #start;
  #announceChanges = changes();
  element = el("div", { class: "job" });

  /**
   * @param {{actions: JobActions, words: {heading: MessageKey, never: MessageKey}, start: HTMLElement}} parts `start`:
   *   takes the keyboard where the button that had it is gone
   */
  constructor({ actions, words, start }) {
    this.#actions = actions;
    this.#words = words;
    this.#start = start;
  }

  /**
   * @param {{job: Job | null, failures: JobFailure[] | null, isShown: boolean, outcome?: string}} what
   * @param {Translator} tr
   */
  render({ job, failures, isShown, outcome = "" }, tr) {
    this.#render(job, failures, outcome, tr);
    if (!this.#announceChanges(job?.id, job?.state) || !job || !isShown) return;
    announce([tr.t(STATES[job.state]), outcome].filter(Boolean).join(": "));
  }

  /**
   * @param {Job | null} job
   * @param {JobFailure[] | null} failures
   * @param {string} outcome
   * @param {Translator} tr
   */
  #render(job, failures, outcome, tr) {
    const hadFocus = this.element.contains(document.activeElement);
    if (!job) {
      this.element.replaceChildren(el("p", { class: "fine" }, tr.t(this.#words.never)));
      return;
    }
    const { collection, state, can_retry: canRetry, total, done, failed, rate, eta_s: eta, error } = job;
    const active = isActive(job);
    const bar = el("progress", { max: Math.max(1, total), "aria-label": tr.t(this.#words.heading) });
    // Without a value the bar shows that something goes on, not how far it is.
    if (total || !active) bar.value = active ? done : Math.max(1, total);
    const facts = [
      // What came of it names it itself.
      !outcome && collection,
      total > 0 && tr.t("job.progress", { n: tr.number(done), of: tr.number(total) }),
      active && rate > 0 && tr.t("job.rate", { n: tr.number(Math.round(rate)) }),
      active && eta !== null && tr.t("job.eta", { time: duration(eta, tr) }),
      failed > 0 && tr.plural("job.failed", failed),
    ].filter(Boolean);
    /** @param {MessageKey} key @param {() => void} click */
    const button = (key, click) => el("button", { class: "button small", type: "button" }, tr.t(key), { click });
    this.element.replaceChildren(
      el("div", { class: "box-head", "data-state": state }, [
        el("strong", {}, tr.t(STATES[state])),
        active && bar,
        el("span", { class: "fine" }, facts.join(" · ")),
        active && button("manage.cancel", this.#actions.cancel),
        failed > 0 && !failures && button("job.failures", this.#actions.failures),
        canRetry && button("job.retry", this.#actions.retry),
      ]),
      ...(outcome ? [el("p", {}, outcome)] : []),
      ...(error ? [el("p", { class: "bad", dir: "auto" }, error)] : []),
      ...(failures ? [el("ul", { class: "uploads", tabindex: "0", "aria-label": tr.t("job.failures") }, failures.map(failureRow))] : []),
    );
    if (hadFocus) (this.element.querySelector("button") ?? this.#start).focus();
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
