import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { ApiError } from "../../web/js/api.js";
import { Rows } from "../../web/js/rows.js";
import { Store, initialState } from "../../web/js/store.js";

const query = (name) => ({ kind: "file", file: new Blob([name]), name });
let store, rows, answers, refused;
beforeEach(() => {
  store = new Store(initialState({ locale: "en" }));
  answers = {};
  refused = [];
  const api = { search: (_, { name, signal }) => answers[name]?.(signal) ?? Promise.resolve({ body: { results: [name] } }) };
  rows = new Rows({ api, store, onRefused: (error) => refused.push(error.status) });
});
const phases = () => store.state.rows.map(({ phase }) => phase);

test("each picture gets its results, one after the other", async () => {
  const running = rows.run([query("a"), query("b")]);
  assert.deepEqual(phases(), ["loading", "loading"]);
  await running;
  assert.deepEqual(store.state.rows.map(({ results }) => results), [["a"], ["b"]]);
});

test("one that is no picture keeps its reason, and the others go on", async () => {
  answers.a = () => Promise.reject(new ApiError({ status: 422, code: "invalid_image" }));
  await rows.run([query("a"), query("b")]);
  assert.deepEqual(phases(), ["error", "done"]);
  assert.equal(store.state.rows[0].error.status, 422);
});

test("without a key or a service none goes on", async () => {
  for (const status of [401, 0]) {
    answers.a = () => Promise.reject(new ApiError({ status, code: "" }));
    await rows.run([query("a"), query("b")]);
    assert.deepEqual(phases(), ["loading", "loading"]);
  }
  assert.deepEqual(refused, [401, 0]);
});

test("new pictures end the old rows, whose late answers are dropped", async () => {
  let late;
  answers.a = () => new Promise((resolve) => (late = resolve));
  const old = rows.run([query("a"), query("b")]);
  await rows.run([query("c"), query("d")]);
  late({ body: { results: ["late"] } });
  await old;
  assert.deepEqual(store.state.rows.map(({ results }) => results), [["c"], ["d"]]);
});
