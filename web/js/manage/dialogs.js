// @ts-check
/** @import {State, StoredImage} from "../types.js" */
/** @import {MessageKey, Translator} from "../i18n.js" */
/** @import {Changes, Fields} from "./calls.js" */
/** @import {Named} from "./library.js" */
import { byId, changes, el, icon } from "../dom.js";
import { tagsOf } from "../filters.js";
import { displayName } from "../format.js";
import { translator } from "../i18n.js";
import { fieldsOf, linesOf, patchOf } from "./fields.js";
import { reasonOf } from "./telling.js";

const SHOWN_MS = 6_000;

/** A dialog with a form: a heading, fields, what went wrong, and two buttons. */
class FormDialog {
  heading;
  error = el("p", { class: "bad", role: "alert", dir: "auto" });
  submit = el("button", { class: "button primary", type: "submit" });
  cancel = el("button", { class: "button quiet", type: "button" });
  dialog;

  /**
   * @param {string} id
   * @param {HTMLElement[]} fields
   * @param {{submit: () => void, close: () => void}} on
   */
  constructor(id, fields, on) {
    this.heading = el("h2", { id: `${id}-title` });
    const form = el("form", {}, [
      this.heading,
      ...fields,
      this.error,
      el("div", { class: "dialog-actions" }, [this.submit, this.cancel]),
    ]);
    this.dialog = el("dialog", { id, class: "dialog small-dialog", "aria-labelledby": `${id}-title` }, form);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      on.submit();
    });
    this.cancel.addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("close", on.close);
    document.body.append(this.dialog);
  }
}

/** @param {string} id @param {HTMLElement} input */
function field(id, input) {
  const words = el("span");
  input.id = id;
  return { words, block: el("label", { class: "field-block" }, [words, input]) };
}

/** The dialog in which a picture's words are changed. */
export class EditView {
  #title = el("input", { dir: "auto", autocomplete: "off" });
  #tags = el("input", { dir: "auto", autocomplete: "off" });
  #text = el("textarea", { dir: "auto", rows: "5" });
  #source = el("input", { dir: "ltr", autocomplete: "off", spellcheck: "false", inputmode: "url" });
  #own = el("textarea", { dir: "auto", rows: "3", spellcheck: "false" });
  #fields = [
    field("edit-name", this.#title),
    field("edit-tags", this.#tags),
    field("edit-text", this.#text),
    field("edit-source", this.#source),
    field("edit-fields", this.#own),
  ];
  #form;
  #changed = changes();
  /** @type {StoredImage | null} */
  #image = null;
  /** @type {Translator | null} */
  #tr = null;

  /** @param {{actions: {save: (image: StoredImage, changes: Changes) => Promise<void>, close: () => void}}} parts */
  constructor({ actions }) {
    let isSaving = false;
    this.#form = new FormDialog("edit", this.#fields.map(({ block }) => block), {
      submit: async () => {
        const image = this.#image;
        if (!image || isSaving) return;
        const { fields, wrong } = fieldsOf(this.#own.value);
        if (wrong !== null) {
          this.#form.error.textContent = this.#tr?.t("edit.wrongField", { line: wrong.slice(0, 80) }) ?? "";
          return this.#own.focus();
        }
        const change = this.#changes(image, fields);
        if (!Object.keys(change).length) return this.#form.dialog.close();
        isSaving = true;
        await actions.save(image, change).finally(() => (isSaving = false));
      },
      close: actions.close,
    });
  }

  /** @param {State} state */
  render({ library: { edited, editError }, locale }) {
    if (!this.#changed(edited, editError, locale)) return;
    const tr = translator(locale);
    this.#tr = tr;
    const { dialog, heading, submit, cancel, error } = this.#form;
    heading.textContent = tr.t("edit.heading");
    submit.textContent = tr.t("edit.save");
    cancel.textContent = tr.t("manage.cancel");
    error.textContent = editError ? reasonOf(editError, tr) : "";
    (/** @type {MessageKey[]} */ (["viewer.title", "edit.tags", "viewer.text", "edit.source", "edit.fields"])).forEach((key, place) => {
      this.#fields[place].words.textContent = tr.t(key);
    });
    const before = this.#image;
    this.#image = edited;
    if (edited && edited !== before) {
      this.#title.value = edited.title;
      this.#tags.value = edited.tags.join(", ");
      this.#text.value = edited.text;
      this.#source.value = edited.source_url;
      this.#own.value = linesOf(edited.fields);
      dialog.showModal();
    } else if (!edited && before) {
      dialog.close();
      // The button that was pressed is another one by now, with the new words beside it.
      const viewer = byId("viewer", HTMLDialogElement);
      const place = viewer.open ? viewer : document.querySelector(`#library [data-id="${before.id}"]`);
      /** @type {HTMLElement | null | undefined} */ (place?.querySelector('[data-act="edit"]'))?.focus();
    }
  }

  /** What differs from before. @param {StoredImage} image @param {Fields} own @returns {Changes} */
  #changes(image, own) {
    const [title, text, source] = [this.#title, this.#text, this.#source].map(({ value }) => value.trim());
    const fields = patchOf(image.fields, own);
    return {
      ...(title === image.title.trim() ? {} : { title }),
      ...(this.#tags.value === image.tags.join(", ") ? {} : { tags: tagsOf(this.#tags.value) }),
      ...(text === image.text.trim() ? {} : { text }),
      ...(source === image.source_url.trim() ? {} : { source_url: source }),
      ...(fields ? { fields } : {}),
    };
  }
}

/** The dialog that asks for a key. */
export class KeyView {
  #input = el("input", { type: "password", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "ask-key-lead" });
  #field = field("ask-key-input", this.#input);
  #lead = el("p", { id: "ask-key-lead", class: "fine" });
  #form;
  #changed = changes();

  /** @param {{actions: {give: (key: string) => void, cancel: () => void}}} parts */
  constructor({ actions }) {
    this.#form = new FormDialog("ask-key", [this.#lead, this.#field.block], {
      submit: () => {
        const key = this.#input.value.trim();
        if (key) actions.give(key);
      },
      close: () => {
        // It closes after a key was given as well, and may be open again for another.
        if (!this.#form.dialog.open) actions.cancel();
      },
    });
  }

  /** @param {State} state */
  render({ library: { asks }, locale }) {
    if (!this.#changed(asks, locale)) return;
    const { dialog, heading, submit, cancel, error } = this.#form;
    if (!asks) {
      this.#input.value = "";
      dialog.close();
      return;
    }
    const tr = translator(locale);
    const isAdmin = asks.role === "admin";
    heading.textContent = tr.t(isAdmin ? "adminKey.heading" : "key.heading");
    this.#lead.textContent = tr.t(isAdmin ? "adminKey.lead" : "key.lead");
    this.#field.words.textContent = tr.t(isAdmin ? "adminKey.label" : "key.label");
    submit.textContent = tr.t("adminKey.submit");
    cancel.textContent = tr.t("manage.cancel");
    error.textContent = asks.refused ? tr.t("key.refused") : "";
    this.#input.setAttribute("aria-invalid", String(asks.refused));
    if (!dialog.open) dialog.showModal();
    this.#input.focus();
  }
}

/** Asks whether pictures are to go for good. */
export class SureView {
  #words = el("p", { id: "sure-words", dir: "auto" });
  #form;
  #changed = changes();

  /** @param {{actions: {destroy: () => void, close: () => void}}} parts */
  constructor({ actions }) {
    this.#form = new FormDialog("sure", [this.#words], { submit: actions.destroy, close: actions.close });
    this.#form.dialog.setAttribute("role", "alertdialog");
    this.#form.dialog.setAttribute("aria-describedby", this.#words.id);
  }

  /** @param {State} state */
  render({ library: { sure }, locale }) {
    if (!this.#changed(sure, locale)) return;
    const { dialog, heading, submit, cancel } = this.#form;
    if (!sure) return dialog.close();
    const tr = translator(locale);
    heading.textContent = tr.t("sure.heading");
    this.#words.textContent = sure.length === 1 ? tr.t("sure.one", { name: shortName(sure[0]) }) : tr.plural("sure.many", sure.length);
    submit.textContent = tr.t("library.destroyHint");
    cancel.textContent = tr.t("manage.cancel");
    if (!dialog.open) dialog.showModal();
    // What is pressed without a look must not be the one thing that cannot be undone.
    cancel.focus();
  }
}

/** Says what was just done to pictures, and takes it back. */
export class DoneView {
  #actions;
  #words = el("p", { dir: "auto" });
  #undo = el("button", { class: "button small", type: "button" });
  #close = el("button", { class: "icon-button", type: "button" }, icon("close"));
  #controls = el("div", { class: "notice-controls" }, [this.#undo, this.#close]);
  // A live region speaks only of what changes inside it, so it is there from the start.
  #box = el("div", { class: "toast", role: "status" });
  #changed = changes();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {{actions: {undo: () => void, close: () => void}}} parts */
  constructor({ actions }) {
    this.#actions = actions;
    this.#undo.addEventListener("click", actions.undo);
    this.#close.addEventListener("click", actions.close);
    document.body.append(this.#box);
    // A dialog that closes must not take the words with it.
    document.addEventListener("close", () => this.#host(), { capture: true });
  }

  /** Puts it where it can be pressed: all that is outside a modal dialog is inert. */
  #host() {
    const host = [...document.querySelectorAll("dialog:modal")].at(-1) ?? document.body;
    if (this.#box.parentElement !== host) host.append(this.#box);
  }

  /** @param {State} state */
  render({ library: { done, which }, locale }) {
    if (!this.#changed(done, locale)) return;
    clearTimeout(this.#timer);
    this.#host();
    const hadFocus = this.#box.contains(document.activeElement);
    if (!done) {
      this.#box.replaceChildren();
    } else {
      const tr = translator(locale);
      this.#words.textContent = wordsOf(done, tr);
      this.#undo.textContent = tr.t("manage.undo");
      this.#undo.hidden = !done.undo;
      this.#close.setAttribute("aria-label", tr.t("notice.dismiss"));
      const tone = done.error ? "error" : "back";
      this.#box.replaceChildren(
        el("div", { class: "notice", "data-tone": tone }, [
          icon(done.error ? "alert" : "check"),
          el("div", { class: "notice-words" }, this.#words),
          this.#controls,
        ]),
      );
      if (!done.undo && !done.error) this.#timer = setTimeout(this.#actions.close, SHOWN_MS);
    }
    // Whatever had the focus went with the picture, or was taken back.
    const focused = document.activeElement;
    const isLost = focused === document.body || !focused?.checkVisibility();
    if (done?.undo && isLost) this.#undo.focus();
    else if (hadFocus && isLost) byId(which ? "library-title" : "content", HTMLElement).focus({ preventScroll: true });
  }
}

/**
 * @param {NonNullable<State["library"]["done"]>} done
 * @param {Translator} tr
 */
function wordsOf({ key, name, n = 1, error }, tr) {
  const said = tr.t(key, { name: cut(name), n: tr.number(n) });
  return error ? `${said} — ${reasonOf(error, tr)}` : said;
}

/** @param {Named} image */
function shortName(image) {
  return cut(displayName(image));
}

/** @param {string} name */
function cut(name) {
  return name.length > 120 ? `${name.slice(0, 120)}…` : name;
}
