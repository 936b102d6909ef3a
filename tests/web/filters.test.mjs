import assert from "node:assert/strict";
import { test } from "node:test";
import { chipsOf, filterOf, tagsOf, visible } from "../../web/js/filters.js";
import { NO_FILTERS, initialState } from "../../web/js/store.js";

const state = (change) => ({ ...initialState({ locale: "en" }), ...change });

test("tags stand between commas of either script, each once", () => {
  assert.deepEqual(tagsOf(" cat, big dog，猫、cat,, "), ["cat", "big dog", "猫"]);
  assert.deepEqual(tagsOf(" , "), []);
});

test("no filter asks for none; the kind of match is not the service's", () => {
  assert.equal(filterOf({ ...NO_FILTERS, match: "identical", collapse: "identical" }), null);
});

test("each filter in the service's grammar", () => {
  const filter = filterOf({ ...NO_FILTERS, tags: ["a", "b"], minWidth: 800, minHeight: 600 });
  assert.deepEqual(filter, { tags: { any: ["a", "b"] }, width: { gte: 800 }, height: { gte: 600 } });
});

test("days are the user's own, from the start of the first to the end of the last", () => {
  const { created_at: span } = filterOf({ ...NO_FILTERS, from: "2026-03-01", to: "2026-03-01" });
  assert.equal(span.gte, new Date(2026, 2, 1).toISOString());
  assert.equal(span.lt, new Date(2026, 2, 2).toISOString());
  assert.deepEqual(filterOf({ ...NO_FILTERS, to: "2026-02-28" }), { created_at: { lt: new Date(2026, 2, 1).toISOString() } });
  assert.equal(filterOf({ ...NO_FILTERS, from: "2026-99-99", to: "soon" }), null);
});

test("only results of the chosen kind are shown", () => {
  const results = [{ match: "identical" }, { match: "similar" }];
  assert.deepEqual(visible(state({ search: { results }, filters: { ...NO_FILTERS, match: "similar" } })), [results[1]]);
  assert.equal(visible(state({ search: { results } })), results);
});

test("a chip for each thing that narrows, which takes away that thing alone", () => {
  const filters = { tags: ["a", "b"], minWidth: 1, minHeight: 2, from: "2026-01-01", to: "2026-01-02", match: "similar", collapse: "identical" };
  const crop = { left: 0, top: 0, right: 0.5, bottom: 1 };
  const negatives = [{ id: "1", name: "one" }, { id: "2", name: "two" }];
  const chips = chipsOf(state({ filters, crop, negatives }));
  assert.equal(chips.length, 11);
  const left = chips.reduce((now, _, place) => {
    const change = chipsOf(state(now))[0].without;
    assert.equal(chipsOf(state({ ...now, ...change })).length, chips.length - 1 - place);
    return { ...now, ...change };
  }, { filters, crop, negatives });
  assert.deepEqual(left, { filters: NO_FILTERS, crop: null, negatives: [] });
  assert.deepEqual(chipsOf(state({})), []);
});
