// @ts-check
/** @import {Crop} from "./types.js" */

/** The smallest region, as a fraction of the picture's edge. */
export const LEAST = 0.04;

/** @typedef {{x: number, y: number}} Point fractions of the picture */

/** @param {number} value @param {number} [least] @param {number} [most] */
const between = (value, least = 0, most = 1) => Math.min(most, Math.max(least, value));

/** @param {number} value fractions as a link has them */
const rounded = (value) => Math.round(value * 1000) / 1000;

/** @param {Crop} crop @returns {Crop} */
function tidy({ left, top, right, bottom }) {
  return { left: rounded(left), top: rounded(top), right: rounded(right), bottom: rounded(bottom) };
}

/**
 * The region between two corners, at least LEAST wide and high, inside the picture.
 * @param {Point} one
 * @param {Point} other
 */
export function drawn(one, other) {
  const left = between(Math.min(one.x, other.x), 0, 1 - LEAST);
  const top = between(Math.min(one.y, other.y), 0, 1 - LEAST);
  return tidy({
    left,
    top,
    right: between(Math.max(one.x, other.x), left + LEAST),
    bottom: between(Math.max(one.y, other.y), top + LEAST),
  });
}

/**
 * The region moved, of the same size, inside the picture.
 * @param {Crop} crop
 * @param {Point} by
 */
export function moved({ left, top, right, bottom }, by) {
  const x = between(by.x, -left, 1 - right);
  const y = between(by.y, -top, 1 - bottom);
  return tidy({ left: left + x, top: top + y, right: right + x, bottom: bottom + y });
}

/**
 * The region with its right bottom corner moved; the left top one stays.
 * @param {Crop} crop
 * @param {Point} by
 */
export function resized({ left, top, right, bottom }, by) {
  return tidy({
    left,
    top,
    right: between(right + by.x, left + LEAST),
    bottom: between(bottom + by.y, top + LEAST),
  });
}

/** @param {Crop} crop whether it is the whole picture */
export function isWhole({ left, top, right, bottom }) {
  return left === 0 && top === 0 && right === 1 && bottom === 1;
}
