// @ts-check
/** @import {Crop} from "../types.js" */
/** @import {Point} from "../crop.js" */
/** @import {Translator} from "../i18n.js" */
import { drawn, isWhole, moved, resized } from "../crop.js";
import { el } from "../dom.js";

const KEY_STEP = 0.02;
const DRAG_LEAST_PX = 5;
/** @type {Record<string, Point>} */
const ARROWS = {
  ArrowLeft: { x: -KEY_STEP, y: 0 },
  ArrowRight: { x: KEY_STEP, y: 0 },
  ArrowUp: { x: 0, y: -KEY_STEP },
  ArrowDown: { x: 0, y: KEY_STEP },
};

/** A region of what a stage shows: drawn, moved and resized by pointer or keyboard. The stage's box is the picture's. */
export class CropFrame {
  #stage;
  #onChange;
  /** @type {Crop | null} */
  #crop = null;
  #frame = el("div", { class: "crop-frame", hidden: true });
  #move = el("button", { class: "crop-move", type: "button" });
  #size = el("button", { class: "crop-size", type: "button" });

  /** @param {{stage: HTMLElement, onChange: (crop: Crop | null) => void}} parts */
  constructor({ stage, onChange }) {
    this.#stage = stage;
    this.#onChange = onChange;
    this.#frame.append(this.#move, this.#size);
    stage.append(this.#frame);
    stage.addEventListener("pointerdown", (event) => this.#drag(event));
    this.#frame.addEventListener("keydown", (event) => this.#key(event));
  }

  /**
   * @param {Crop | null} crop
   * @param {Translator} tr
   */
  show(crop, tr) {
    this.#crop = crop;
    this.#frame.hidden = !crop;
    if (!crop) return;
    const { left, top, right, bottom } = crop;
    for (const [side, share] of Object.entries({ left, top, width: right - left, height: bottom - top })) {
      this.#frame.style.setProperty(side, `${share * 100}%`);
    }
    /** @param {number} share */
    const percent = (share) => Math.round(share * 100);
    const place = { left: percent(left), top: percent(top), right: percent(right), bottom: percent(bottom) };
    this.#move.setAttribute("aria-label", tr.t("crop.move", place));
    this.#size.setAttribute("aria-label", tr.t("crop.size", place));
  }

  focus() {
    this.#move.focus();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (!this.#crop) return;
    const by = ARROWS[event.key];
    if (by) {
      event.preventDefault();
      const resizes = event.target === this.#size || event.shiftKey;
      this.#onChange((resizes ? resized : moved)(this.#crop, by));
    } else if (event.key === "Escape" || event.key === "Delete") {
      this.#onChange(null);
    }
  }

  /** @param {PointerEvent} down */
  #drag(down) {
    // A finger scrolls the page until there is a region to hold.
    if (down.button !== 0 || (down.pointerType === "touch" && !this.#crop)) return;
    const before = this.#crop;
    /** @param {PointerEvent} event @returns {Point} */
    const at = ({ clientX, clientY }) => {
      // Where it is now: what arrives above may push it down under the pointer.
      const box = this.#stage.getBoundingClientRect();
      return { x: (clientX - box.left) / box.width, y: (clientY - box.top) / box.height };
    };
    const from = at(down);
    const change = before && down.target === this.#size ? resized : before && down.target === this.#move ? moved : null;
    let isDrag = false;
    const ends = new AbortController();
    const { signal } = ends;
    this.#stage.setPointerCapture(down.pointerId);
    this.#stage.addEventListener(
      "pointermove",
      (event) => {
        isDrag ||= Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) >= DRAG_LEAST_PX;
        if (!isDrag) return;
        const to = at(event);
        const by = { x: to.x - from.x, y: to.y - from.y };
        const crop = change && before ? change(before, by) : drawn(from, to);
        this.#onChange(isWhole(crop) ? null : crop);
      },
      { signal },
    );
    for (const end of ["pointerup", "pointercancel"]) {
      this.#stage.addEventListener(end, () => ends.abort(), { signal });
    }
  }
}
