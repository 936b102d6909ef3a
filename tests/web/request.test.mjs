import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, paramsOf } from "../../web/js/request.js";
import { NO_FILTERS, initialState } from "../../web/js/store.js";

const state = (change) => ({ ...initialState({ locale: "en" }), ...change });
const crop = { left: 0, top: 0, right: 0.5, bottom: 1 };
const params = { top_k: 20, offset: 0 };
const file = { kind: "file", file: new Blob(["file"]), name: "a.png" };
const stored = { kind: "stored", imageId: "i", fullUrl: "/full", name: "b.png" };
const url = { kind: "url", url: "https://a.example/c.png", name: "c" };

/** What the API is asked. */
async function asked(what) {
  const calls = [];
  const api = {
    search: async (given, { file: sent } = {}) => calls.push({ ...given, ...(sent ? { sent: await sent.text() } : {}) }),
    bytes: async (address) => new Blob([`bytes of ${address}`]),
  };
  await ask(api, { crop: null, token: null, params, ...what }, new AbortController().signal);
  return calls[0];
}

test("nothing is asked that is not set", () => {
  assert.deepEqual(paramsOf(state({}), stored), params);
});

test("all that refines", () => {
  const refined = state({
    words: "red",
    share: 0.7,
    filters: { ...NO_FILTERS, tags: ["a"], collapse: "identical" },
    negatives: [{ id: "n", name: "" }],
  });
  const rest = { filter: { tags: { any: ["a"] } }, collapse: "identical" };
  assert.deepEqual(paramsOf(refined, stored, { offset: 40, topK: 5 }), {
    top_k: 5, offset: 40, text: "red", weights: { image: 0.7, text: 0.3 }, negative_ids: ["n"], ...rest,
  });
  assert.deepEqual(paramsOf(refined, null), { ...params, text: "red", ...rest }, "without a picture there is nothing to weigh");
});

test("a library without words is not asked for them", () => {
  const service = { status: { features: { text: false } } };
  assert.deepEqual(paramsOf(state({ words: "red", service }), stored), params);
});

test("each query travels in its cheapest form, a region with the picture itself", async () => {
  assert.deepEqual(await asked({ query: null }), params);
  assert.deepEqual(await asked({ query: file, crop, token: "t" }), { ...params, query_id: "t" });
  assert.deepEqual(await asked({ query: file }), { ...params, sent: "file" });
  assert.deepEqual(await asked({ query: file, crop }), { ...params, crop, sent: "file" });
  assert.deepEqual(await asked({ query: stored }), { ...params, image_id: "i" });
  assert.deepEqual(await asked({ query: stored, crop }), { ...params, crop, sent: "bytes of /full" });
  assert.deepEqual(await asked({ query: url, crop }), { ...params, crop, image_url: url.url });
});
