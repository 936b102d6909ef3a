// @ts-check
/** @import {Link} from "./link.js" */
/** @import {Store} from "./store.js" */
/** @import {State} from "./types.js" */
import { linkOf, readLink } from "./link.js";

/** @typedef {Pick<History, "state" | "pushState" | "replaceState" | "back">} Past */

/** Keeps the page's address equal to its state: a link reopens a search, back and forward walk through them. */
export class Navigation {
  #store;
  #past;
  #address;
  #onOpen;
  #opening = 0;
  #lastStep = "";
  /** The last step without its viewer. */
  #lastBare = "";
  /** The viewer was closed, and the step back to what it stood over is under way. */
  #closing = false;
  /** The uploads of this page's history, which no address can carry. @type {(readonly Blob[])[]} */
  #uploads = [];

  /**
   * @param {{store: Store, past: Past, address: Pick<Location, "pathname" | "search">,
   *   onOpen: (link: Link, files: readonly Blob[], behind: Link | null) => Promise<unknown> | void}} parts `behind`: the
   *   search behind the library, where it is another than the one that is there
   */
  constructor({ store, past, address, onOpen }) {
    this.#store = store;
    this.#past = past;
    this.#address = address;
    this.#onOpen = onOpen;
    store.subscribe((state) => this.#record(state));
  }

  /** The user went back or forward. */
  async walk() {
    if (this.#closing) {
      this.#closing = false;
      this.#record(this.#store.state);
      return;
    }
    // A link within the page, as the one that skips to the content, is a step too, and no other question.
    if (this.#past.state) await this.open();
    else this.#record(this.#store.state);
  }

  /** Opens what the address asks for. */
  async open() {
    const { state } = this.#past;
    const upload = typeof state?.upload === "number" ? state.upload : -1;
    const link = readLink(this.#address.search);
    const files = this.#uploads[upload] ?? [];
    const behind = link.library && typeof state?.behind === "string" ? state.behind : null;
    const now = this.#store.state;
    const isOther = behind !== null && (behind !== behindOf(now) || upload !== this.#uploadOf(now));
    this.#opening += 1;
    try {
      await this.#onOpen(link, files, isOther ? readLink(behind) : null);
    } finally {
      this.#opening -= 1;
    }
    // After a reload the picture is gone; what else was asked is still searched for.
    if (upload >= 0 && !files.length && !link.library) this.#store.update({ hint: { key: "hint.uploadGone", tone: "info" } });
    this.#record(this.#store.state);
  }

  /** @param {State} state */
  #record(state) {
    if (this.#opening || this.#closing) return;
    const link = linkOf(state);
    const upload = this.#uploadOf(state);
    // Going back leaves the viewer or the search, not each position of a slider.
    const bare = [upload, linkOf({ ...state, viewed: null, share: 0, crop: null, topK: 0 })].join(" ");
    const step = `${!!state.viewed} ${bare}`;
    const isSame = bare === this.#lastBare;
    const behind = state.library.which ? behindOf(state) : undefined;
    const before = this.#past.state;
    const isStep = !!this.#lastStep && step !== this.#lastStep;
    // `over`: the entry before is the same without the viewer, to which closing it leads back.
    const over = isStep ? !!state.viewed && isSame : before?.over;
    const entry = { upload, behind, ...(over && { over }) };
    if (link === this.#address.search && upload === before?.upload) {
      if (behind !== before?.behind) this.#past.replaceState(entry, "", this.#address.pathname + link);
      this.#lastStep = step;
      this.#lastBare = bare;
      return;
    }
    if (!state.viewed && isSame && before?.over) {
      this.#closing = true;
      this.#past.back();
      return;
    }
    const url = this.#address.pathname + link;
    if (isStep) this.#past.pushState(entry, "", url);
    else this.#past.replaceState(entry, "", url);
    this.#lastStep = step;
    this.#lastBare = bare;
  }

  /** @param {State} state */
  #uploadOf({ query, rows }) {
    const files = query?.kind === "file" ? [query.file] : rows.map((row) => row.query.file);
    if (!files.length) return -1;
    const known = this.#uploads.findIndex((held) => held.length === files.length && held.every((file, i) => file === files[i]));
    return known < 0 ? this.#uploads.push(files) - 1 : known;
  }
}

/** The search that the library stands before, as a link. @param {State} state */
function behindOf(state) {
  return linkOf({ ...state, library: { ...state.library, which: null }, viewed: null });
}
