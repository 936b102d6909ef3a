// @ts-check
// The wire form of image_search/api/wire.py, and the state that the views render.

/**
 * @typedef {object} SearchResult
 * @property {string} id
 * @property {number} rank
 * @property {number} score what it is ranked by
 * @property {{image: number | null, text: number | null}} scores
 * @property {string[]} found_by
 * @property {MatchKind} match
 * @property {string} title
 * @property {string[]} tags
 * @property {string} text
 * @property {Record<string, string | number | boolean | null>} fields
 * @property {number} width
 * @property {number} height
 * @property {string} source_name
 * @property {string[]} sources
 * @property {string} source_url
 * @property {string} created_at
 * @property {string[]} collapsed ids of the doubles that stand behind it
 * @property {string} url
 * @property {string} thumbnail_url
 */

/** @typedef {Omit<SearchResult, "rank" | "score" | "scores" | "found_by" | "match" | "collapsed">} StoredImage */
/** @typedef {StoredImage & Partial<SearchResult>} Viewed a result, or a picture that no search has ranked */

/** @typedef {{name: string, dim: number, metric: string, projection: string}} ModelInfo */
/** @typedef {{offset: number, top_k: number, returned: number, has_more: boolean}} Page */
/** @typedef {{fetch?: number, decode?: number, embed?: number, search?: number, total?: number}} TimingMs */

/**
 * @typedef {object} SearchAnswer
 * @property {true} ok
 * @property {{id: string | null, width?: number | null, height?: number | null}} query
 * @property {ModelInfo | null} model
 * @property {string} collection
 * @property {SearchResult[]} results
 * @property {Page} page
 * @property {boolean | null} [nothing_close]
 * @property {TimingMs} timing_ms
 */

/** @typedef {{name: string, why: "named" | "library" | "default" | "unusable", reason: string}} ModelChoice */

/**
 * @typedef {object} ServiceStatus
 * @property {true} ok
 * @property {number} images
 * @property {string} collection
 * @property {string[]} [collections]
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

/** @typedef {{max_image_bytes?: number, max_request_bytes?: number, max_pixels?: number, max_top_k?: number, max_queries?: number, max_import_bytes?: number}} Limits */
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
 * A picture to search with: bytes the user gave, a picture of the library, or one at an address.
 * @typedef {{kind: "file", file: Blob, name: string, previewUrl: string}} FileQuery
 * @typedef {{kind: "stored", imageId: string, name: string, previewUrl: string, fullUrl: string, width: number, height: number}} StoredQuery
 * @typedef {{kind: "url", url: string, name: string, previewUrl: string}} UrlQuery
 * @typedef {{kind: "live", source: LiveKind, name: string, previewUrl: "", video: HTMLVideoElement}} LiveQuery its region is cut out here
 * @typedef {FileQuery | StoredQuery | UrlQuery | LiveQuery} Query
 */

/** @typedef {"camera" | "video" | "screen"} LiveKind */

/**
 * @typedef {object} LiveState
 * @property {LiveQuery} query
 * @property {boolean} isFrozen the query is a frame of it
 * @property {number} rate answers a second
 * @property {number} latencyMs from the frame to its results
 * @property {{id: string, label: string}[]} cameras to choose from
 * @property {string} cameraId
 */

/** @typedef {{left: number, top: number, right: number, bottom: number}} Crop fractions of the upright picture */
/** @typedef {"identical" | "near_duplicate" | "similar"} MatchKind */

/**
 * @typedef {object} Filters
 * @property {string[]} tags any of them
 * @property {number} minWidth 0: any
 * @property {number} minHeight
 * @property {string} from YYYY-MM-DD, or ""
 * @property {string} to
 * @property {"" | MatchKind} match which results are shown; the service knows no such filter
 * @property {"none" | "identical" | "near_duplicate"} collapse
 */

/** @typedef {{id: string, name: string}} Negative a stored picture that results should be unlike */

/**
 * What a search asks beside its picture.
 * @typedef {object} Refinement
 * @property {string} words
 * @property {number} share how much the picture counts, 0 to 1; the words count the rest
 * @property {Crop | null} crop
 * @property {Filters} filters
 * @property {Negative[]} negatives
 */

/** @typedef {{query: FileQuery, phase: "loading" | "done" | "error", results: SearchResult[], error: import("./api.js").ApiError | null}} Row */

/** @typedef {"idle" | "loading" | "done" | "error" | "locked"} SearchPhase loading may still have the older results; locked: the service wants a key */

/**
 * @typedef {object} SearchState
 * @property {SearchPhase} phase
 * @property {SearchResult[]} results
 * @property {SearchAnswer | null} answer the newest page's answer
 * @property {number} roundTripMs
 * @property {boolean} loadingMore
 * @property {import("./api.js").ApiError | null} error of the search, or of its next page when results are there
 * @property {boolean} keyRefused a key was sent and not accepted
 * @property {boolean} showNearest although nothing is close
 * @property {string | null} wantedId the stored picture that a link asks for, until it is had
 */

/** @typedef {"connecting" | "ready" | "warming" | "away"} ServicePhase */

/**
 * @typedef {object} ServiceState
 * @property {ServicePhase} phase
 * @property {ServiceStatus | null} status the last one heard
 * @property {boolean} returned the service was away and is back
 * @property {boolean} [barred] it is there, and does not let a page from this page's address read its answers
 */

/** @typedef {{key: import("./i18n.js").MessageKey, params?: Record<string, string | number>, tone: "info" | "error"}} Hint */

/**
 * @typedef {object} OwnState
 * @property {import("./i18n.js").Locale} locale
 * @property {ServiceState} service
 * @property {Query | null} query
 * @property {number} topK results on a page
 * @property {SearchState} search
 * @property {Row[]} rows several pictures at once: one row of results each; then there is no `query`
 * @property {LiveState | null} live what is searched with all the time
 * @property {Viewed | null} viewed the picture in the viewer
 * @property {number} thumbPx
 * @property {boolean} original pictures are sent as they are, however large
 * @property {Hint | null} hint something to tell that is about the page, not the service
 * @property {boolean} missing a part of the page could not be fetched
 * @property {boolean} dragging
 * @property {boolean} hasKey
 * @property {boolean} isAdmin the admin key is held
 * @property {string} collection "": the service's own choice
 * @property {LibraryState} library
 */

/** @typedef {Omit<StoredImage, "url" | "thumbnail_url"> & {deleted_at: string}} DeletedImage of the trash */
/** @typedef {"all" | "new" | "random" | "trash"} Which pictures of the library are shown */

/**
 * A picture that is to be added: a file, or what is at an address.
 * @typedef {object} Upload
 * @property {string} name
 * @property {File | null} file
 * @property {string} url "" of a file
 * @property {string} collection that it goes into; "": the service's own choice
 * @property {"waiting" | "sending" | "created" | "duplicate" | "failed" | "stopped"} phase
 * @property {import("./api.js").ApiError | null} error of the service
 * @property {Hint | null} hint why it was not even sent
 * @property {StoredImage | null} image as it is in the library now
 */

/** @typedef {"queued" | "running" | "done" | "failed" | "cancelled"} JobState */
/** @typedef {{id: string, kind: string, collection: string | null, state: JobState, can_retry: boolean, total: number, done: number, failed: number, rate: number,
 *   eta_s: number | null, error: string | null, result?: Record<string, string | number> | null}} Job */
/** @typedef {{number: number, item: string, reason: string}} JobFailure */

/**
 * Vectors to and from files.
 * @typedef {object} VectorsState
 * @property {boolean} open
 * @property {Job | null} job the newest import
 * @property {import("./api.js").ApiError | null} error
 * @property {JobFailure[] | null} failures
 * @property {{name: string, sentBytes: number, sizeBytes: number} | null} sending
 * @property {boolean} isPast the job is an older one than what was tried last, which came to no job
 */

/**
 * @typedef {object} LibraryState
 * @property {Which | null} which null: the page is at the search
 * @property {"idle" | "loading" | "more" | "done" | "error"} phase
 * @property {StoredImage[]} images
 * @property {DeletedImage[]} deleted
 * @property {string | null} next the cursor of the next page
 * @property {import("./api.js").ApiError | null} error
 * @property {Upload[]} uploads
 * @property {boolean} uploading
 * @property {StoredImage | null} edited
 * @property {import("./api.js").ApiError | null} editError
 * @property {boolean} selecting pictures are being selected
 * @property {string[]} selected their ids
 * @property {{n: number, of: number} | null} working how many of them are done
 * @property {{id: string, title: string, source_name: string}[] | null} sure what is about to be deleted for good
 * @property {VectorsState} vectors
 * @property {boolean} indexing the index and its job are shown
 * @property {Job | null} job
 * @property {import("./api.js").ApiError | null} jobError
 * @property {JobFailure[] | null} failures of the job, where they were asked for
 * @property {{role: import("./api.js").Role, refused: boolean} | null} asks the key that is wanted
 * @property {{key: import("./i18n.js").MessageKey, name: string, n?: number, undo: boolean, error: import("./api.js").ApiError | null} | null} done
 *   what was just done to one picture or n, or why not
 */

/** @typedef {OwnState & Refinement} State */
/** @typedef {{render(state: State): void}} View */

export {};
