import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { ApiError } from "../../web/js/api.js";
import { IDLE_SEARCH, NO_FILTERS, Store, initialState } from "../../web/js/store.js";
import { Viewing } from "../../web/js/viewing.js";

const results = ["a", "b", "c", "d"].map((id) => ({ id, match: id === "b" ? "identical" : "similar" }));
let store, viewing, nearEnd;
beforeEach(() => {
  store = new Store({ ...initialState({ locale: "en" }), search: { ...IDLE_SEARCH, phase: "done", results } });
  nearEnd = 0;
  const api = {
    image: async (id) => {
      if (id === "gone") throw new ApiError({ status: 404, code: "not_found" });
      return { id };
    },
  };
  viewing = new Viewing({ api, store, onNearEnd: () => (nearEnd += 1) });
});

test("steps go through what is shown and stop at both ends; more is asked for near the last", () => {
  viewing.show(results[0]);
  viewing.step(-1);
  assert.equal(store.state.viewed.id, "a");
  store.update({ filters: { ...NO_FILTERS, match: "similar" } });
  viewing.step(1);
  assert.equal(store.state.viewed.id, "c", "the filtered one is left out");
  assert.equal(nearEnd, 1);
  viewing.step(1);
  viewing.step(1);
  assert.equal(store.state.viewed.id, "d");
});

test("in a row of results the steps stay in the row", () => {
  const row = [{ id: "x" }, { id: "y" }];
  store.update({ rows: [{ results: row }] });
  viewing.show(row[0]);
  viewing.step(1);
  viewing.step(1);
  assert.equal(store.state.viewed.id, "y");
});

test("a link's picture is the result where there is one, else asked for; a deleted one is said", async () => {
  await viewing.open("b");
  assert.equal(store.state.viewed, results[1]);
  await viewing.open("z");
  assert.deepEqual(store.state.viewed, { id: "z" });
  await viewing.open("gone");
  assert.equal(store.state.hint.key, "error.404");
});
