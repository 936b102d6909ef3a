// @ts-check
/** @import {ModelChoice, ServiceState, ServiceStatus, State} from "../types.js" */
/** @import {MessageKey, Translator} from "../i18n.js" */
import { byId, changes, el, icon } from "../dom.js";
import { formatBytes } from "../format.js";
import { translator } from "../i18n.js";

/** @type {Record<string, MessageKey>} */
const WHY = {
  named: "status.why.named",
  library: "status.why.library",
  default: "status.why.default",
};

/** The service's state: a pill in the page's bar, all of it behind the pill, the main facts at the page's end. */
export class StatusView {
  #address;
  #actions;
  #button = byId("status-button", HTMLButtonElement);
  #panel = byId("status-panel", HTMLElement);
  #facts = byId("facts", HTMLElement);
  #changed = changes();

  /** @param {{address: string, actions: {forgetKey: () => void}}} parts */
  constructor({ address, actions }) {
    this.#address = address;
    this.#actions = actions;
    this.#button.addEventListener("click", () => this.#open(this.#panel.hidden));
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.#panel.hidden) return;
      if (this.#panel.contains(document.activeElement)) this.#button.focus();
      this.#open(false);
    });
    document.addEventListener("pointerdown", (event) => {
      const inside = event.target instanceof Element && event.target.closest(".status");
      if (!inside) this.#open(false);
    });
  }

  /** @param {boolean} open */
  #open(open) {
    this.#panel.hidden = !open;
    this.#button.setAttribute("aria-expanded", String(open));
  }

  /** @param {State} state */
  render(state) {
    if (!this.#changed(state.locale, state.service, state.hasKey)) return;
    const tr = translator(state.locale);
    const { service } = state;
    const summary = summaryOf(service, tr);
    this.#button.dataset.phase = service.phase;
    this.#button.setAttribute("aria-label", tr.t("status.open", { summary }));
    this.#button.replaceChildren(el("span", { class: "dot" }), el("span", { class: "pill-text" }, summary), icon("down"));
    this.#panel.replaceChildren(...this.#details(state, summary, tr));
    this.#facts.replaceChildren(...(service.status ? factsOf(service.status, tr) : []));
  }

  /**
   * @param {State} state
   * @param {string} summary
   * @param {Translator} tr
   */
  #details({ service, hasKey }, summary, tr) {
    const { status } = service;
    const rows = [...(status ? rowsOf(status, tr) : []), row(tr.t("status.address"), this.#address)];
    if (hasKey) {
      const forget = el("button", { class: "link", type: "button" }, tr.t("status.keyForget"), {
        click: () => {
          this.#actions.forgetKey();
          this.#button.focus();
        },
      });
      rows.push(
        el("div", {}, [
          el("dt", {}, tr.t("status.key")),
          el("dd", {}, [tr.t("status.keyHeld"), " ", forget]),
        ]),
      );
    }
    return [
      el("h2", { id: "status-title" }, tr.t("status.heading")),
      service.phase !== "ready" && el("p", { class: "fine" }, status ? `${summary} ${tr.t("status.last")}` : summary),
      el("dl", {}, rows),
    ].filter((part) => part !== false);
  }
}

/**
 * @param {ServiceState} service
 * @param {Translator} tr
 */
function summaryOf({ phase, status }, tr) {
  if (phase === "ready" && status) return tr.plural("status.pictures", status.images);
  return tr.t(phase === "ready" ? "status.connecting" : `status.${phase}`);
}

/**
 * @param {ServiceStatus} status
 * @param {Translator} tr
 */
function rowsOf(status, tr) {
  const { model, model_choice: choice, index, stores, limits } = status;
  const tuning = Object.entries(index?.params ?? {}).map(([name, value]) => `${name} ${String(value)}`);
  /** @type {[string, string | null | undefined][]} */
  const pairs = [
    [tr.t("status.images"), tr.number(status.images)],
    [tr.t("status.collection"), status.collection],
    [tr.t("status.model"), model?.name ?? (choice?.name || tr.t("status.noModel"))],
    [tr.t("status.why"), choice && whyOf(choice, tr)],
    [tr.t("status.dim"), model && tr.number(model.dim)],
    [tr.t("status.projection"), said(model?.projection, tr)],
    [tr.t("status.index"), index && [index.kind, ...tuning].join(" · ")],
    [tr.t("status.vectors"), stores?.vectors],
    [tr.t("status.store"), stores?.images],
    [tr.t("status.formats"), status.formats?.join(", ")],
    [tr.t("status.limit"), limits?.max_image_bytes ? formatBytes(limits.max_image_bytes) : null],
    [tr.t("status.cpu"), said(status.cpu, tr)],
    [tr.t("status.memory"), said(status.memory, tr)],
    [tr.t("status.gpu"), said(status.gpu, tr)],
    [tr.t("status.version"), status.version],
  ];
  return pairs.flatMap(([name, value]) => (value ? [row(name, value)] : []));
}

/**
 * What the service says in words that the page knows, in the page's language; all else as it is.
 * @param {string | undefined} text
 * @param {Translator} tr
 */
function said(text = "", tr) {
  if (/^none( used)?$/.test(text)) return tr.t("status.none");
  const { used, n, share } = text.match(/^(?<used>[\d.]+) (% )?of (?<n>[\d.]+) (cores|GiB \((?<share>\d+) %\))$/)?.groups ?? {};
  return n ? tr.t(share ? "status.memoryValue" : "status.cpuValue", { used, n, share }) : text;
}

/**
 * Where no model can be used, the service's own words say what to do.
 * @param {ModelChoice} choice
 * @param {Translator} tr
 */
function whyOf({ why, reason }, tr) {
  return why in WHY ? tr.t(WHY[why]) : reason;
}

/**
 * @param {ServiceStatus} status
 * @param {Translator} tr
 */
function factsOf({ model, index, stores, version }, tr) {
  const facts = [
    model?.name,
    model && tr.t("status.dimValue", { n: tr.number(model.dim) }),
    index?.kind,
    stores?.vectors,
    version && tr.t("status.versionValue", { version }),
  ];
  return facts.flatMap((fact) => (fact ? [el("span", {}, fact)] : []));
}

/**
 * @param {string} name
 * @param {string} value
 */
function row(name, value) {
  return el("div", {}, [el("dt", {}, name), el("dd", { dir: "auto" }, value)]);
}
