// @ts-check
/** @import {SearchResult} from "./types.js" */

/**
 * A cosine in [-1, 1] with three digits; never rounded up to 1, which would claim "the same".
 * @param {number} score
 */
export function formatScore(score) {
  if (!Number.isFinite(score)) return "–";
  const cut = score > 0.9994 && score < 0.99995 ? 0.999 : score;
  const text = cut.toFixed(3);
  return text === "-0.000" ? "0.000" : text;
}

/**
 * @param {number} score
 * @param {number} [best] the best of all where that has no upper bound, as that of words
 * @returns {number} how much of the bar is full, 0 to 1
 */
export function barFill(score, best = 1) {
  return Number.isFinite(score) ? Math.min(1, Math.max(0, score / Math.max(1, best))) : 0;
}

/** @param {number} ms */
export function formatMs(ms) {
  if (!Number.isFinite(ms)) return "–";
  if (ms >= 10_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms < 100 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
}

/** @param {number} bytes decimal units, as the service's limits are written */
export function formatBytes(bytes) {
  if (!Number.isFinite(bytes) || bytes < 0) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 || Number.isInteger(value) ? 0 : 1;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

/** Anything in it that leaves ink: neither white space nor what only steers or adorns other letters. */
const INK = /[^\p{Z}\p{Cc}\p{Cf}\p{Mn}]/u;

/**
 * What people call the picture: its title where there is something to see in it, else the last part of its owner's name for it, else its id's start.
 * @param {Pick<SearchResult, "id" | "title" | "source_name">} result
 */
export function displayName({ id, title, source_name: source }) {
  const last = (source || "").split("/").filter((part) => INK.test(part)).pop();
  return (INK.test(title || "") && title.trim()) || last || id.slice(0, 12);
}

/**
 * An address that a link or picture may use, absolute; null for anything but http, https and blob
 * (the page's own previews), so that no answer can plant a script.
 * @param {string | null | undefined} address
 * @param {string} base
 */
export function safeUrl(address, base) {
  if (!address) return null;
  try {
    const url = new URL(address, base);
    return ["http:", "https:", "blob:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
