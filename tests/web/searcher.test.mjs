import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { ApiError } from "../../web/js/api.js";
import { Searcher } from "../../web/js/searcher.js";
import { PLAIN, Store, initialState } from "../../web/js/store.js";

const result = (n) => ({
  id: String(n).repeat(64).slice(0, 64), rank: n, score: 1 - n / 10, match: "similar", title: "", source_name: `${n}.png`,
  sources: [`${n}.png`], url: `/images/${n}/file`, thumbnail_url: `/images/${n}/thumbnail`, width: 4, height: 3,
});
const answer = (numbers, { offset = 0, hasMore = false, token = null } = {}) => ({
  body: {
    ok: true, query: { id: token, width: 8, height: 6 }, results: numbers.map(result),
    page: { offset, top_k: 20, returned: numbers.length, has_more: hasMore }, timing_ms: { total: offset || 1 },
  },
  roundTripMs: 5,
});
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** An API whose requests wait until the test answers them. */
class WaitingApi {
  requests = [];
  #ask(what, params, signal) {
    return new Promise((resolve, reject) => {
      this.requests.push({ what, params, signal, resolve, reject });
      signal.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
    });
  }
  search(params, { file, signal }) {
    return this.#ask(file ?? null, params, signal);
  }
  random({ signal }) {
    return this.#ask("random", {}, signal);
  }
  image(id, { signal }) {
    return this.#ask(id, {}, signal);
  }
}

let api, store, searcher, awayCalls;
beforeEach(() => {
  api = new WaitingApi();
  store = new Store(initialState({ locale: "en" }));
  awayCalls = 0;
  searcher = new Searcher({ api, store, onAway: () => (awayCalls += 1) });
});

test("a file: loading, then its results", async () => {
  searcher.withFiles([new Blob(["x"])]);
  assert.equal(store.state.search.phase, "loading");
  assert.deepEqual(api.requests[0].params, { top_k: 20, offset: 0 });
  api.requests[0].resolve(answer([1, 2]));
  await settled();
  const { phase, results, roundTripMs } = store.state.search;
  assert.deepEqual({ phase, count: results.length, roundTripMs }, { phase: "done", count: 2, roundTripMs: 5 });
});

test("a new search aborts the old one, and a late answer is dropped even where the abort came too late", async () => {
  searcher.withFiles([new Blob(["old"])]);
  const [old] = api.requests;
  searcher.withResult(result(3));
  assert.equal(old.signal.aborted, true);
  old.resolve(answer([9]));
  api.requests[1].resolve(answer([3]));
  await settled();
  assert.deepEqual(store.state.search.results.map(({ rank }) => rank), [3]);
  assert.equal(store.state.query.imageId, result(3).id);
});

test("the next page starts after the last, is appended, and brings no picture twice", async () => {
  searcher.withResult(result(1));
  api.requests[0].resolve(answer([1, 2], { hasMore: true }));
  await settled();
  void searcher.more();
  void searcher.more();
  assert.equal(api.requests.length, 2, "a second press while loading asks nothing");
  assert.deepEqual(api.requests[1].params, { image_id: result(1).id, top_k: 20, offset: 2 });
  const [first] = store.state.search.results;
  api.requests[1].resolve(answer([2, 3], { offset: 2 }));
  await settled();
  const { results, loadingMore, answer: kept } = store.state.search;
  assert.deepEqual(results.map(({ rank }) => rank), [1, 2, 3]);
  assert.equal(results[0], first);
  assert.equal(loadingMore, false);
  assert.equal(kept.page.has_more, false);
  assert.equal(kept.timing_ms.total, 1, "the timings stay those of the first page");
});

test("a failing next page keeps the results", async () => {
  searcher.withResult(result(1));
  api.requests[0].resolve(answer([1], { hasMore: true }));
  await settled();
  void searcher.more();
  api.requests[1].reject(new ApiError({ status: 500, code: "internal" }));
  await settled();
  const { phase, results, error, loadingMore } = store.state.search;
  assert.deepEqual({ phase, n: results.length, code: error.code, loadingMore }, { phase: "done", n: 1, code: "internal", loadingMore: false });
});

test("401 locks the search; with a key sent, the key was refused", async () => {
  for (const hasKey of [false, true]) {
    store.update({ hasKey });
    searcher.withResult(result(1));
    api.requests.at(-1).reject(new ApiError({ status: 401, code: "invalid_key" }));
    await settled();
    assert.equal(store.state.search.phase, "locked");
    assert.equal(store.state.search.keyRefused, hasKey);
  }
});

test("a service that is away is reported, and resume asks again only then", async () => {
  searcher.withResult(result(1));
  api.requests[0].reject(new ApiError({ status: 0, code: "network" }));
  await settled();
  assert.equal(awayCalls, 1);
  searcher.resume();
  assert.equal(api.requests.length, 2);
  api.requests[1].reject(new ApiError({ status: 422, code: "invalid_image" }));
  await settled();
  searcher.resume();
  assert.equal(api.requests.length, 2);
  assert.equal(awayCalls, 1);
});

test("a collection that is not there has the service asked which there are", async () => {
  searcher.withResult(result(1));
  api.requests[0].reject(new ApiError({ status: 404, code: "collection_not_found" }));
  await settled();
  assert.equal(awayCalls, 1);
});

test("what is wrong with a new file replaces what was wrong with the one before, but not that the service is away", async () => {
  const hint = { key: "hint.nothing", tone: "error" };
  for (const [status, left] of [[415, null], [503, 503]]) {
    searcher.withResult(result(1));
    api.requests.at(-1).reject(new ApiError({ status, code: "x" }));
    await settled();
    searcher.tell(hint);
    assert.equal(store.state.hint, hint);
    assert.equal(store.state.search.error?.status ?? null, left);
  }
});

test("the start asks nothing and keeps the collection", async () => {
  store.update({ collection: "birds" });
  searcher.refine({ words: "red", filters: { ...store.state.filters, minWidth: 5 } });
  searcher.start();
  await settled();
  const { words, filters, search, collection } = store.state;
  assert.deepEqual([words, filters.minWidth, search.phase, collection], ["", 0, "idle", "birds"]);
  assert.equal(api.requests[0].signal.aborted, true);
});

test("an answer that is not understood is an error of its own, not an absence", async () => {
  searcher.withResult(result(1));
  api.requests[0].resolve({ roundTripMs: 1 });
  await settled();
  assert.equal(store.state.search.phase, "error");
  assert.equal(store.state.search.error.code, "unexpected");
  assert.equal(awayCalls, 0);
});

test("another number of results searches anew; without a query it is only kept", () => {
  searcher.setTopK(50);
  assert.equal(api.requests.length, 0);
  searcher.withResult(result(1));
  searcher.setTopK(10);
  searcher.setTopK(10);
  assert.deepEqual(api.requests.map(({ params }) => params.top_k), [50, 10]);
});

test("clear drops the query, its running search and its preview", async () => {
  const revoked = [];
  const real = URL.revokeObjectURL;
  URL.revokeObjectURL = (url) => revoked.push(url);
  try {
    searcher.withFiles([new Blob(["x"])]);
    const { previewUrl } = store.state.query;
    searcher.clear();
    await settled();
    assert.deepEqual(revoked, [previewUrl]);
  } finally {
    URL.revokeObjectURL = real;
  }
  assert.equal(api.requests[0].signal.aborted, true);
  assert.equal(store.state.query, null);
  assert.equal(store.state.search.phase, "idle");
});

test("pages and refinements go by the token of the first answer; its size stays", async () => {
  searcher.withFiles([new Blob(["x"])]);
  api.requests[0].resolve(answer([1], { token: "t", hasMore: true }));
  await settled();
  void searcher.more();
  assert.deepEqual(api.requests[1].params, { query_id: "t", top_k: 20, offset: 1 });
  searcher.refine({ words: "red" });
  assert.deepEqual(api.requests[2].params, { query_id: "t", text: "red", top_k: 20, offset: 0 });
  assert.equal(api.requests[2].what, null, "the picture is not sent again");
  assert.equal(store.state.search.results.length, 1, "the older results stay meanwhile");
  const next = answer([2], { token: "t2" });
  Object.assign(next.body.query, { width: null, height: null });
  api.requests[2].resolve(next);
  await settled();
  assert.deepEqual(store.state.search.answer.query, { id: "t2", width: 8, height: 6 });
});

test("a token that grew too old sends the picture once more; another region needs it too", async () => {
  searcher.withFiles([new Blob(["x"])]);
  api.requests[0].resolve(answer([1], { token: "t" }));
  await settled();
  searcher.refine({ words: "red" });
  api.requests[1].reject(new ApiError({ status: 422, code: "invalid_parameter", errors: [{ field: "query_id", reason: "is too old" }] }));
  await settled();
  assert.deepEqual([api.requests[2].params.query_id, api.requests[2].what instanceof Blob], [undefined, true]);
  api.requests[2].resolve(answer([1], { token: "u" }));
  await settled();
  const crop = { left: 0, top: 0, right: 0.5, bottom: 1 };
  searcher.refine({ crop });
  assert.deepEqual([api.requests[3].params.crop, api.requests[3].what instanceof Blob], [crop, true]);
});

test("a new picture leaves the region and what to be unlike behind, and keeps words and filters", () => {
  const filters = { ...store.state.filters, minWidth: 5 };
  searcher.withResult(result(1));
  searcher.refine({ words: "red", filters, crop: { left: 0, top: 0, right: 0.5, bottom: 1 } });
  searcher.unlike(result(2));
  searcher.unlike(result(2));
  assert.equal(store.state.negatives.length, 1);
  searcher.withUrl("https://a.example/b.png");
  const { words, crop, negatives } = store.state;
  assert.deepEqual({ words, crop, negatives }, { words: "red", crop: null, negatives: [] });
  assert.equal(store.state.filters, filters);
});

test("words alone are a search; without them there is none", () => {
  searcher.refine({ words: "red" });
  assert.deepEqual(api.requests[0].params, { text: "red", top_k: 20, offset: 0 });
  searcher.refine({ words: "" });
  assert.equal(api.requests.length, 1);
  assert.equal(api.requests[0].signal.aborted, true);
  assert.equal(store.state.search.phase, "idle");
});

test("words that were typed and not yet searched for go with the next picture, whose field shows them", () => {
  searcher.draft("red");
  searcher.withResult(result(1));
  assert.deepEqual([store.state.words, api.requests[0].params.text], ["red", "red"]);
  searcher.draft("green");
  searcher.refine({ words: "blue" });
  searcher.withFiles([new Blob(["a"]), new Blob(["b"])]);
  assert.equal(store.state.words, "blue");
  searcher.draft("gone");
  searcher.start();
  searcher.withResult(result(2));
  assert.equal(store.state.words, "");
});

test("clear takes the picture away and searches on with the words", () => {
  searcher.refine({ words: "red" });
  searcher.withResult(result(1));
  searcher.clear();
  assert.equal(store.state.query, null);
  assert.deepEqual(api.requests.at(-1).params, { text: "red", top_k: 20, offset: 0 });
});

test("several pictures become rows, asked one after the other; one of them alone is a search again", async () => {
  searcher.withFiles([new Blob(["a"]), new Blob(["b"])]);
  assert.deepEqual([store.state.query, store.state.rows.length, api.requests.length], [null, 2, 1]);
  api.requests[0].resolve(answer([1]));
  await settled();
  assert.equal(api.requests.length, 2);
  searcher.withFiles([store.state.rows[1].query.file]);
  assert.equal(api.requests[1].signal.aborted, true);
  assert.deepEqual([store.state.rows.length, store.state.query.kind], [0, "file"]);
});

test("a picture at random is searched with", async () => {
  void searcher.withRandom();
  assert.equal(store.state.query, null);
  api.requests[0].resolve([result(4)]);
  await settled();
  assert.equal(store.state.query.imageId, result(4).id);
  assert.equal(api.requests[1].params.image_id, result(4).id);
});

test("a link opens with all that it asks; what stopped it goes on when the service is back", async () => {
  const link = { ...PLAIN, words: "red", share: 0.7, imageId: result(5).id, url: null, topK: 50, viewedId: null };
  void searcher.open(link, []);
  api.requests[0].reject(new ApiError({ status: 503, code: "warming_up" }));
  await settled();
  assert.equal(awayCalls, 1);
  searcher.resume();
  assert.equal(api.requests[1].what, result(5).id);
  api.requests[1].resolve(result(5));
  await settled();
  assert.deepEqual(api.requests[2].params, {
    image_id: result(5).id, text: "red", weights: { image: 0.7, text: 0.3 }, top_k: 50, offset: 0,
  });
});

test("a live query asks nothing here: it is marked as wanting an answer, and a failure leaves none of the old ones", async () => {
  const query = { kind: "live", source: "camera", name: "", previewUrl: "", video: {} };
  searcher.withLive(query, { crop: null, negatives: [] });
  assert.deepEqual([api.requests.length, store.state.search.phase], [0, "loading"]);
  store.updateSearch({ phase: "done", results: [result(1)], answer: { page: { has_more: true } } });
  await searcher.more();
  searcher.refine({ words: "red" });
  assert.deepEqual([api.requests.length, store.state.search.phase, store.state.search.results.length], [0, "loading", 1]);
  store.updateSearch({ phase: "done" });
  searcher.fail(new ApiError({ status: 503, code: "warming_up" }));
  assert.deepEqual([store.state.search.phase, awayCalls], ["error", 1]);
  searcher.resume();
  assert.equal(store.state.search.phase, "loading");
});
