import assert from "node:assert/strict";
import { test } from "node:test";
import { Store, initialState } from "../../web/js/store.js";

test("a change is announced once, with the new state", () => {
  const store = new Store(initialState({ locale: "en" }));
  const seen = [];
  store.subscribe((state) => seen.push(state.topK));
  store.update({ topK: 50, dragging: true });
  assert.deepEqual(seen, [50]);
  assert.equal(store.state.dragging, true);
});

test("an update that changes nothing is silent and keeps the state's identity", () => {
  const store = new Store(initialState({ locale: "en" }));
  const before = store.state;
  store.subscribe(() => assert.fail("announced"));
  store.update({ topK: before.topK, search: before.search });
  assert.equal(store.state, before);
});

test("updateSearch keeps the rest of the search", () => {
  const store = new Store(initialState({ locale: "zh", hasKey: true }));
  store.updateSearch({ phase: "loading" });
  assert.equal(store.state.search.phase, "loading");
  assert.deepEqual(store.state.search.results, []);
  assert.equal(store.state.hasKey, true);
});

test("the state cannot be changed behind the store's back", () => {
  const store = new Store(initialState({ locale: "en" }));
  assert.throws(() => {
    store.state.topK = 3;
  }, TypeError);
});

test("an ended subscription hears nothing", () => {
  const store = new Store(initialState({ locale: "en" }));
  store.subscribe(() => assert.fail("announced"))();
  store.update({ topK: 99 });
});
