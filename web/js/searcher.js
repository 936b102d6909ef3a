// @ts-check
/** @import {Api, Answer} from "./api.js" */
/** @import {Link} from "./link.js" */
/** @import {Store} from "./store.js" */
/** @import {FileQuery, LiveQuery, Query, Refinement, SearchAnswer, State, StoredImage, UrlQuery} from "./types.js" */
import { ApiError, NO_COLLECTION, isAbort } from "./api.js";
import { displayName } from "./format.js";
import { readLink } from "./link.js";
import { ask, paramsOf } from "./request.js";
import { Rows } from "./rows.js";
import { IDLE_SEARCH, PLAIN } from "./store.js";

const MOST_NEGATIVES = 100;

/** Runs searches one at a time: a new one aborts the old, whose late answer is dropped. */
export class Searcher {
  #api;
  #store;
  #onAway;
  #rows;
  /** @type {AbortController | null} */
  #running = null;
  /** What an error, a missing key or the service's absence stopped. @type {() => Promise<void>} */
  #stopped = () => this.again();
  /**
   * The service's word for the last picture (or its region), which it need not be sent again.
   * @type {{of: Query, crop: Refinement["crop"], id: string, size: SearchAnswer["query"]} | null}
   */
  #token = null;
  /** The words that were typed and not yet searched for. @type {string | null} */
  #draft = null;

  /** @param {{api: Api, store: Store, onAway: () => void}} parts `onAway`: a request found no service, or no collection */
  constructor({ api, store, onAway }) {
    this.#api = api;
    this.#store = store;
    this.#onAway = onAway;
    this.#rows = new Rows({
      api,
      store,
      onRefused: (error) => {
        this.#stopped = () => this.again();
        this.fail(error);
      },
    });
  }

  /**
   * One picture is searched with; several get a row of results each.
   * @param {readonly (Blob & {name?: string})[]} files
   * @param {Partial<State>} [refinement] with what else changes
   */
  withFiles(files, refinement) {
    const queries = files.map(queryOfFile);
    const [only] = queries;
    if (queries.length < 2) return only && this.#begin(only, refinement);
    this.#leave();
    const fresh = refinement ?? this.#fresh();
    this.#draft = null;
    this.#store.update({ ...fresh, query: null, hint: null, viewed: null, search: IDLE_SEARCH });
    void this.#rows.run(queries);
  }

  /** @param {StoredImage} image */
  withResult(image) {
    this.#begin(queryOfStored(image));
  }

  /** @param {string} url of http or https */
  withUrl(url) {
    this.#begin(queryOfUrl(url));
  }

  /**
   * With what is shown now and from now on: who shows it asks and brings the answers.
   * @param {LiveQuery} query
   * @param {Partial<State>} change
   */
  withLive(query, change) {
    this.#begin(query, change);
  }

  /** With a picture of the library, at random. */
  async withRandom() {
    await this.#attempt(
      () => this.withRandom(),
      async (signal) => {
        const [image] = await this.#api.random({ signal });
        return () => image && this.withResult(image);
      },
    );
  }

  /** @param {Partial<Refinement>} change of what is asked beside the picture */
  refine(change) {
    if ("words" in change) this.#draft = null;
    this.#store.update(change);
    void this.again({ keep: true });
  }

  /** A picture that is given next is searched for with these: they stand beside it. @param {string} words */
  draft(words) {
    this.#draft = words;
  }

  /** Results like this one are to come later. @param {StoredImage} image */
  unlike(image) {
    const { negatives } = this.#store.state;
    if (negatives.some(({ id }) => id === image.id) || negatives.length >= MOST_NEGATIVES) return;
    this.#store.update({ viewed: null });
    this.refine({ negatives: [...negatives, { id: image.id, name: displayName(image) }] });
  }

  /**
   * What a link asks for, with the files that only this page's history knows.
   * @param {Link} link
   * @param {readonly Blob[]} files
   */
  async open(link, files) {
    this.#leave();
    // The field is written anew where its words are others.
    if (link.words !== this.#store.state.words) this.#draft = null;
    const { imageId, url, topK, viewedId: _, library: __, collection: ___, ...refinement } = link;
    this.#store.update({ ...refinement, topK, query: null, rows: [], viewed: null, hint: null, search: { ...IDLE_SEARCH, wantedId: imageId } });
    if (files.length) return this.withFiles(files, refinement);
    if (url) return this.#begin(queryOfUrl(url), refinement);
    if (!imageId) return this.again();
    this.#store.updateSearch({ phase: "loading" });
    await this.#attempt(
      () => this.open({ ...link, negatives: this.#store.state.negatives }, files),
      async (signal) => {
        const image = await this.#api.image(imageId, { signal });
        return () => this.#begin(queryOfStored(image), refinement);
      },
    );
  }

  /**
   * The same question once more: after an error, a new key, a change of what is asked.
   * @param {{keep?: boolean}} [how] `keep`: the older results stay until the new ones are there
   * @returns {Promise<void>}
   */
  async again({ keep = false } = {}) {
    const { query, words, rows, crop, search } = this.#store.state;
    if (rows.length) {
      this.#store.update({ search: IDLE_SEARCH });
      return this.#rows.run(rows.map((row) => row.query));
    }
    if (!query && !words) {
      this.#leave();
      this.#store.update({ search: IDLE_SEARCH });
      return;
    }
    const { results, answer, showNearest } = keep ? search : IDLE_SEARCH;
    this.#store.update({ search: { ...IDLE_SEARCH, phase: "loading", results, answer, showNearest } });
    if (query?.kind === "live") {
      this.#stopped = () => this.again({ keep: true });
      return;
    }
    await this.#run({}, ({ body, roundTripMs }) => {
      if (query && body.query.id) {
        const size = this.#tokenFor(query, crop)?.size ?? body.query;
        this.#token = { of: query, crop, id: body.query.id, size };
      }
      // A token has no size: that of its picture is shown on.
      const known = body.query.width ? body.query : { ...body.query, ...sizeOf(this.#tokenFor(query, crop)?.size) };
      const done = { phase: /** @type {const} */ ("done"), results: body.results, roundTripMs, showNearest };
      this.#store.update({ search: { ...IDLE_SEARCH, ...done, answer: { ...body, query: known } } });
    });
  }

  /** What is wrong with what was just given takes the place of what was wrong before. @param {State["hint"]} hint */
  tell(hint) {
    const { search } = this.#store.state;
    const isOver = hint && search.error && search.phase !== "locked" && !search.error.isAway;
    this.#store.update({ hint, search: isOver ? { ...search, error: null } : search });
  }

  /** The page's start: nothing is asked. */
  start() {
    void this.open(readLink(""), []);
  }

  async more() {
    const { query, search } = this.#store.state;
    const page = search.answer?.page;
    if (query?.kind === "live" || !page?.has_more || search.loadingMore || search.phase !== "done") return;
    this.#store.updateSearch({ loadingMore: true, error: null });
    await this.#run({ topK: page.top_k, offset: page.offset + page.returned }, ({ body }) => {
      // The timings stay those of the first page: that is the search people timed.
      const { results, answer } = this.#store.state.search;
      // A picture inserted meanwhile shifts the pages: the same id may come twice.
      const known = new Set(results.map((result) => result.id));
      this.#store.updateSearch({
        loadingMore: false,
        results: [...results, ...body.results.filter((result) => !known.has(result.id))],
        answer: answer && { ...answer, page: body.page },
      });
    });
  }

  /** @param {number} topK */
  setTopK(topK) {
    if (topK === this.#store.state.topK) return;
    this.#store.update({ topK });
    void this.again({ keep: true });
  }

  /** The same in another collection, without what belongs to the one before. */
  elsewhere() {
    this.#token = null;
    const { query, search } = this.#store.state;
    this.#store.update({ negatives: [], viewed: null });
    // What a link asked for in vain may be here.
    if (search.wantedId) return void this.#stopped();
    if (query?.kind === "stored") this.#store.update({ query: null, crop: null });
    void this.again();
  }

  /** Once more what was stopped. */
  retry() {
    return this.#stopped();
  }

  /** Goes on where the service's absence stopped it. */
  resume() {
    const { search } = this.#store.state;
    if (search.phase === "error" && search.error?.isAway) void this.#stopped();
  }

  /** Without the picture: what words find, or the page's start. */
  clear() {
    this.#leave();
    const { words } = this.#store.state;
    const rest = words ? { crop: null, negatives: [] } : PLAIN;
    this.#store.update({ ...rest, query: null, rows: [], viewed: null, search: IDLE_SEARCH, hint: null });
    if (words) void this.again();
  }

  /**
   * @param {Query} query
   * @param {Partial<State>} [refinement]
   */
  #begin(query, refinement = this.#fresh()) {
    this.#leave();
    this.#draft = null;
    this.#store.update({ ...refinement, query, rows: [], hint: null, viewed: null });
    void this.again();
  }

  /** What goes with another picture: a region and what to be unlike belong to the one before. @returns {Partial<State>} */
  #fresh() {
    return { crop: null, negatives: [], ...(this.#draft !== null && { words: this.#draft }) };
  }

  /** Ends what runs, and lets go of the pictures that are no longer shown. */
  #leave() {
    this.#running?.abort();
    this.#running = null;
    this.#rows.stop();
    const { query, rows } = this.#store.state;
    for (const left of [query, ...rows.map((row) => row.query)]) {
      if (left?.kind === "file") URL.revokeObjectURL(left.previewUrl);
    }
  }

  /**
   * @param {Query | null} query
   * @param {Refinement["crop"]} crop
   */
  #tokenFor(query, crop) {
    return this.#token && this.#token.of === query && this.#token.crop === crop ? this.#token : null;
  }

  /**
   * @param {{offset?: number, topK?: number}} page
   * @param {(answer: Answer<SearchAnswer>) => void} accept
   */
  async #run(page, accept) {
    await this.#attempt(
      () => this.again(),
      async (signal) => {
        const { query, crop } = this.#store.state;
        if (query?.kind === "live") return () => {};
        const params = paramsOf(this.#store.state, query, page);
        const asked = { query, crop, params, token: this.#tokenFor(query, crop)?.id ?? null };
        /** @type {Answer<SearchAnswer>} */
        let answer;
        try {
          answer = await ask(this.#api, asked, signal);
        } catch (error) {
          // A token lives for an hour, the picture is still here.
          const isStale = error instanceof ApiError && error.errors.some(({ field }) => field === "query_id");
          if (!asked.token || !isStale) throw error;
          this.#token = null;
          answer = await ask(this.#api, { ...asked, token: null }, signal);
        }
        return () => accept(answer);
      },
    );
  }

  /**
   * @param {() => Promise<void>} again does all of it anew
   * @param {(signal: AbortSignal) => Promise<() => void>} work brings what to do unless something newer began
   */
  async #attempt(again, work) {
    this.#running?.abort();
    const running = new AbortController();
    this.#running = running;
    this.#stopped = again;
    try {
      const accept = await work(running.signal);
      if (this.#running === running) accept();
    } catch (error) {
      if (isAbort(error) || this.#running !== running) return;
      this.fail(error instanceof ApiError ? error : new ApiError({ status: 200, code: "unexpected" }));
    }
  }

  /** What was asked last has failed. @param {ApiError} error */
  fail(error) {
    const { query, search, hasKey } = this.#store.state;
    const failed = { ...IDLE_SEARCH, wantedId: search.wantedId, error };
    if (error.status === 401) {
      this.#store.update({ search: { ...failed, phase: "locked", keyRefused: hasKey } });
    } else if (search.phase === "done" && query?.kind !== "live") {
      this.#store.updateSearch({ loadingMore: false, error });
    } else {
      this.#store.update({ search: { ...failed, phase: "error" } });
    }
    if (error.isAway || error.code === NO_COLLECTION) this.#onAway();
  }
}

/** @param {SearchAnswer["query"] | undefined} size */
function sizeOf(size) {
  return size ? { width: size.width, height: size.height } : {};
}

/** @param {Blob & {name?: string}} file @returns {FileQuery} */
function queryOfFile(file) {
  return { kind: "file", file, name: file.name || "", previewUrl: URL.createObjectURL(file) };
}

/** @param {StoredImage} image @returns {Query} */
function queryOfStored(image) {
  const { id, width, height, url, thumbnail_url: previewUrl } = image;
  return { kind: "stored", imageId: id, name: displayName(image), previewUrl, fullUrl: url, width, height };
}

/** @param {string} url @returns {UrlQuery} */
function queryOfUrl(url) {
  return { kind: "url", url, name: url, previewUrl: url };
}
