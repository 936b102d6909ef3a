// @ts-check
/** @import {Api} from "./api.js" */
/** @import {Crop, LiveQuery, Query, State} from "./types.js" */
import { filterOf } from "./filters.js";

/**
 * What a search asks beside its picture, in the wire's words.
 * @param {State} state
 * @param {Query | null} query
 * @param {{offset?: number, topK?: number}} [page]
 * @returns {Record<string, unknown>}
 */
export function paramsOf(state, query, { offset = 0, topK = state.topK } = {}) {
  const { share, filters, negatives } = state;
  const words = state.service.status?.features?.text === false ? "" : state.words;
  const filter = filterOf(filters);
  /** @type {Record<string, unknown>} */
  const params = { top_k: topK, offset };
  if (words) params.text = words;
  if (words && query && share !== 0.5) params.weights = { image: share, text: Number((1 - share).toFixed(4)) };
  if (query && negatives.length) params.negative_ids = negatives.map(({ id }) => id);
  if (filter) params.filter = filter;
  if (filters.collapse !== "none") params.collapse = filters.collapse;
  return params;
}

/**
 * Sends a search in the cheapest form: by the token of an earlier answer, by id or address, else the picture itself.
 * @param {Api} api
 * @param {{query: Exclude<Query, LiveQuery> | null, crop: Crop | null, token: string | null, params: Record<string, unknown>}} asked
 * @param {AbortSignal} signal
 */
export async function ask(api, { query, crop, token, params }, signal) {
  if (!query) return api.search(params, { signal });
  if (token) return api.search({ query_id: token, ...params }, { signal });
  const whole = crop ? { ...params, crop } : params;
  if (query.kind === "url") return api.search({ image_url: query.url, ...whole }, { signal });
  if (query.kind === "stored" && !crop) return api.search({ image_id: query.imageId, ...params }, { signal });
  // The service crops only what it is sent.
  const file = query.kind === "file" ? query.file : await api.bytes(query.fullUrl, { signal });
  return api.search(whole, { file, name: query.name, signal });
}
