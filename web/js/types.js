// @ts-check
// The wire form of image_search/api/wire.py, and the state that the views render.

/**
 * @typedef {object} SearchResult
 * @property {string} id
 * @property {number} rank
 * @property {number} score what it is ranked by
 * @property {{image: number | null, text: number | null}} scores
 * @property {string[]} found_by
 * @property {"identical" | "near_duplicate" | "similar"} match
 * @property {string} title
 * @property {string[]} tags
 * @property {string} text
 * @property {Record<string, string | number | boolean | null>} fields
 * @property {number} width
 * @property {number} height
 * @property {string} source_name
 * @property {string[]} sources
 * @property {string} url
 * @property {string} thumbnail_url
 */

/** @typedef {{name: string, dim: number, metric: string, projection: string}} ModelInfo */
/** @typedef {{offset: number, top_k: number, returned: number, has_more: boolean}} Page */
/** @typedef {{fetch?: number, decode?: number, embed?: number, search?: number, total?: number}} TimingMs */

/**
 * @typedef {object} SearchAnswer
 * @property {true} ok
 * @property {{id: string | null, width?: number, height?: number}} query
 * @property {ModelInfo | null} model
 * @property {string} collection
 * @property {SearchResult[]} results
 * @property {Page} page
 * @property {TimingMs} timing_ms
 */

/** @typedef {{name: string, why: "named" | "library" | "default" | "unusable", reason: string}} ModelChoice */

/**
 * @typedef {object} ServiceStatus
 * @property {true} ok
 * @property {number} images
 * @property {string} collection
 * @property {ModelInfo | null} model
 * @property {ModelChoice} [model_choice]
 * @property {{kind: string, params: Record<string, unknown>} | null} [index]
 * @property {{vectors: string, images: string}} [stores]
 * @property {Limits} [limits]
 * @property {{text?: boolean, url_fetch?: boolean, keys?: {user?: boolean, admin?: boolean}}} [features]
 * @property {string} [version]
 * @property {string[]} [formats]
 * @property {string} [cpu]
 * @property {string} [memory]
 * @property {string} [gpu]
 */

/** @typedef {{max_image_bytes?: number, max_request_bytes?: number, max_pixels?: number, max_top_k?: number}} Limits */
/** @typedef {{field: string, reason: string}} FieldError */

/**
 * @typedef {object} Problem
 * @property {string} [type]
 * @property {string} [title]
 * @property {number} [status]
 * @property {string} [detail]
 * @property {string} [code]
 * @property {FieldError[]} [errors]
 * @property {string} [request_id]
 */

/**
 * A picture to search with: bytes the user gave, or a picture of the library.
 * @typedef {{kind: "file", file: Blob, name: string, previewUrl: string}} FileQuery
 * @typedef {{kind: "stored", imageId: string, name: string, previewUrl: string, fullUrl: string, width: number, height: number}} StoredQuery
 * @typedef {FileQuery | StoredQuery} Query
 */

/** @typedef {"idle" | "loading" | "done" | "error" | "locked"} SearchPhase locked: the service wants a key */

/**
 * @typedef {object} SearchState
 * @property {SearchPhase} phase
 * @property {SearchResult[]} results
 * @property {SearchAnswer | null} answer the newest page's answer
 * @property {number} roundTripMs
 * @property {boolean} loadingMore
 * @property {import("./api.js").ApiError | null} error of the search, or of its next page when results are there
 * @property {boolean} keyRefused a key was sent and not accepted
 */

/** @typedef {"connecting" | "ready" | "warming" | "away"} ServicePhase */

/**
 * @typedef {object} ServiceState
 * @property {ServicePhase} phase
 * @property {ServiceStatus | null} status the last one heard
 * @property {boolean} returned the service was away and is back
 */

/** @typedef {{key: import("./i18n.js").MessageKey, params?: Record<string, string | number>, tone: "info" | "error"}} Hint */

/**
 * @typedef {object} State
 * @property {import("./i18n.js").Locale} locale
 * @property {ServiceState} service
 * @property {Query | null} query
 * @property {number} topK
 * @property {SearchState} search
 * @property {Hint | null} hint something to tell that is about the page, not the service
 * @property {boolean} dragging
 * @property {boolean} hasKey
 */

/** @typedef {{render(state: State): void}} View */

export {};
