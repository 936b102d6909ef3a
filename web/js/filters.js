// @ts-check
/** @import {Filters, Refinement, SearchResult, State} from "./types.js" */
/** @import {MessageKey} from "./i18n.js" */
import { NO_FILTERS } from "./store.js";

/**
 * The tags in a text that has them between commas, each once.
 * @param {string} text
 */
export function tagsOf(text) {
  return [...new Set(text.split(/[,，、;]/).map((tag) => tag.trim()).filter(Boolean))].slice(0, 100);
}

/** @param {string} day YYYY-MM-DD @returns {Date | null} its start where the user is; null of no day */
function startOf(day) {
  const start = new Date(`${day}T00:00:00`);
  return /^\d{4}-\d\d-\d\d$/.test(day) && !Number.isNaN(start.getTime()) ? start : null;
}

/**
 * What the service is asked to filter by; null for nothing. The match kind is not its to filter.
 * @param {Filters} filters
 * @returns {Record<string, object> | null}
 */
export function filterOf({ tags, minWidth, minHeight, from, to }) {
  const first = startOf(from);
  const last = startOf(to);
  last?.setDate(last.getDate() + 1);
  /** @type {Record<string, object>} */
  const filter = {};
  if (tags.length) filter.tags = { any: tags };
  if (minWidth > 0) filter.width = { gte: minWidth };
  if (minHeight > 0) filter.height = { gte: minHeight };
  if (first || last) {
    filter.created_at = { ...(first ? { gte: first.toISOString() } : {}), ...(last ? { lt: last.toISOString() } : {}) };
  }
  return Object.keys(filter).length ? filter : null;
}

/**
 * The results that the match kind lets through.
 * @param {Pick<State, "search" | "filters">} state
 * @returns {SearchResult[]}
 */
export function visible({ search, filters: { match } }) {
  return match ? search.results.filter((result) => result.match === match) : search.results;
}

/** @typedef {{key: MessageKey, params: Record<string, string | number>, without: Partial<Refinement>}} Chip */

/**
 * What narrows the search, each with the change that takes it away.
 * @param {State} state
 * @returns {Chip[]}
 */
export function chipsOf({ crop, filters, negatives }) {
  /** @type {Chip[]} */
  const chips = [];
  /** @param {MessageKey} key @param {Chip["params"]} params @param {Partial<Filters>} change */
  const add = (key, params, change) => chips.push({ key, params, without: { filters: { ...filters, ...change } } });
  if (crop) chips.push({ key: "chip.crop", params: {}, without: { crop: null } });
  for (const tag of filters.tags) add("chip.tag", { tag }, { tags: filters.tags.filter((other) => other !== tag) });
  if (filters.minWidth) add("chip.minWidth", { n: filters.minWidth }, { minWidth: 0 });
  if (filters.minHeight) add("chip.minHeight", { n: filters.minHeight }, { minHeight: 0 });
  if (filters.from) add("chip.from", { day: filters.from }, { from: "" });
  if (filters.to) add("chip.to", { day: filters.to }, { to: "" });
  if (filters.match) add(`match.${filters.match}`, {}, { match: NO_FILTERS.match });
  if (filters.collapse !== "none") add(`collapse.${filters.collapse}`, {}, { collapse: NO_FILTERS.collapse });
  for (const { id, name } of negatives) {
    chips.push({ key: "chip.unlike", params: { name }, without: { negatives: negatives.filter((other) => other.id !== id) } });
  }
  return chips;
}
