import assert from "node:assert/strict";
import { test } from "node:test";
import { LEAST, drawn, isWhole, moved, resized } from "../../web/js/crop.js";

const crop = { left: 0.2, top: 0.3, right: 0.6, bottom: 0.5 };

test("a region is drawn from any corner to any other, inside the picture", () => {
  assert.deepEqual(drawn({ x: 0.6, y: 0.5 }, { x: 0.2, y: 0.3 }), crop);
  assert.deepEqual(drawn({ x: -1, y: -1 }, { x: 2, y: 2 }), { left: 0, top: 0, right: 1, bottom: 1 });
});

test("it never becomes less than the least, also at the far edge", () => {
  for (const point of [{ x: 0.5, y: 0.5 }, { x: 1, y: 1 }, { x: 3, y: 3 }, { x: 0, y: 0 }]) {
    const { left, top, right, bottom } = drawn(point, point);
    assert.ok(right - left >= LEAST - 1e-9 && bottom - top >= LEAST - 1e-9);
    assert.ok(left >= 0 && top >= 0 && right <= 1 && bottom <= 1);
  }
});

test("moving keeps its size and stops at the edges", () => {
  assert.deepEqual(moved(crop, { x: 0.1, y: -0.1 }), { left: 0.3, top: 0.2, right: 0.7, bottom: 0.4 });
  assert.deepEqual(moved(crop, { x: 5, y: -5 }), { left: 0.6, top: 0, right: 1, bottom: 0.2 });
});

test("resizing keeps the left top corner", () => {
  assert.deepEqual(resized(crop, { x: 0.1, y: 0.1 }), { ...crop, right: 0.7, bottom: 0.6 });
  assert.deepEqual(resized(crop, { x: -5, y: 5 }), { ...crop, right: 0.24, bottom: 1 });
});

test("the whole picture is known as such", () => {
  assert.equal(isWhole({ left: 0, top: 0, right: 1, bottom: 1 }), true);
  assert.equal(isWhole(crop), false);
});
