import assert from "node:assert/strict";
import { test } from "node:test";
import { placeAfter } from "../../web/js/views/arrows.js";

const at = (from) => ({ from, count: 10, columns: 4 });

test("arrows lead to the neighbours on the screen", () => {
  assert.equal(placeAfter("ArrowRight", at(3)), 4);
  assert.equal(placeAfter("ArrowLeft", at(4)), 3);
  assert.equal(placeAfter("ArrowDown", at(1)), 5);
  assert.equal(placeAfter("ArrowUp", at(9)), 5);
  assert.equal(placeAfter("Home", at(6)), 0);
  assert.equal(placeAfter("End", at(6)), 9);
});

test("they stay where nothing lies in that direction", () => {
  assert.equal(placeAfter("ArrowLeft", at(0)), 0);
  assert.equal(placeAfter("ArrowRight", at(9)), 9);
  assert.equal(placeAfter("ArrowUp", at(2)), 2);
  assert.equal(placeAfter("ArrowDown", at(7)), 7);
  assert.equal(placeAfter("ArrowDown", { from: 0, count: 1, columns: 1 }), 0);
});

test("other keys are not theirs", () => {
  for (const key of ["Enter", " ", "Tab", "PageDown", "a", "constructor"]) assert.equal(placeAfter(key, at(5)), -1, key);
});
