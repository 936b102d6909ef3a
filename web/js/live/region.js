// @ts-check
/** @import {Crop} from "../types.js" */

/** @type {Crop} */
const WHOLE = { left: 0, top: 0, right: 1, bottom: 1 };

/** @type {Crop} */
export const FIRST_REGION = { left: 0.25, top: 0.25, right: 0.75, bottom: 0.75 };

/**
 * Which pixels of a frame are taken, and how large they are drawn: never larger than they are.
 * @param {{width: number, height: number}} frame
 * @param {Crop | null} region
 * @param {number} shortest the most that the shortest edge needs
 */
export function fit(frame, region, shortest) {
  const { left, top, right, bottom } = region ?? WHOLE;
  const from = {
    x: left * frame.width,
    y: top * frame.height,
    width: Math.max(1, (right - left) * frame.width),
    height: Math.max(1, (bottom - top) * frame.height),
  };
  const scale = Math.min(1, shortest / Math.min(from.width, from.height));
  /** @param {number} px */
  const scaled = (px) => Math.max(1, Math.round(px * scale));
  return { from, width: scaled(from.width), height: scaled(from.height) };
}
