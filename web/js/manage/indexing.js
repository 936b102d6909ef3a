// @ts-check
/** @import {State} from "../types.js" */
/** @import {Translator} from "../i18n.js" */
/** @import {JobActions} from "./jobbox.js" */
import { byId, changes, el } from "../dom.js";
import { translator } from "../i18n.js";
import { JobBox } from "./jobbox.js";
import { isActive } from "./jobs.js";
import { reasonOf } from "./telling.js";

const LARGEST_DIM = 256;

/** Starts indexing, and shows how far the newest job is. */
export class IndexView {
  #section = byId("indexing", HTMLElement);
  #title = el("h2", { id: "indexing-title" });
  #lead = el("p", { class: "fine" });
  #vectorsWords = el("span");
  #vectors = el("select", { name: "vectors" });
  #dimWords = el("span");
  #dim = el("input", { name: "dim", type: "number", min: "1", step: "1", required: true, inputmode: "numeric" });
  #dimField = el("label", { class: "field-block" }, [this.#dimWords, this.#dim]);
  #start = el("button", { class: "button primary", type: "submit" });
  #job;
  #error = el("p", { class: "bad", role: "alert", dir: "auto" });
  #wordsChange = changes();
  #jobChanges = changes();

  /**
   * @param {{actions: JobActions & {start: (projection: string) => void}}} parts
   */
  constructor({ actions }) {
    this.#job = new JobBox({ actions, words: { heading: "job.heading", never: "job.never" }, start: this.#start });
    const vectors = el("label", { class: "field-block" }, [this.#vectorsWords, this.#vectors]);
    const form = el("form", { class: "index-form" }, [vectors, this.#dimField, this.#start], {
      submit: (event) => {
        event.preventDefault();
        if (this.#start.getAttribute("aria-disabled") === "true") return;
        actions.start(this.#vectors.value === "pca" ? `pca:${this.#dim.valueAsNumber}` : this.#vectors.value);
      },
    });
    this.#vectors.addEventListener("change", () => this.#showDim());
    this.#section.append(this.#title, this.#lead, form, this.#error, this.#job.element);
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
    this.#job.render({ job, failures, isShown: indexing }, tr);
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
}
