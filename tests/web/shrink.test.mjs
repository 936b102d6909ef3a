import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { shrink } from "../../web/js/shrink.js";

const file = new File(["original"], "a.png", { type: "image/png" });
afterEach(() => {
  delete globalThis.OffscreenCanvas;
  delete globalThis.createImageBitmap;
});

/** A browser's canvas that keeps its sizes; pictures have the given one. */
function browser(width, height) {
  const canvases = [];
  globalThis.createImageBitmap = async () => ({ width, height, close() {} });
  globalThis.OffscreenCanvas = class {
    constructor(...size) {
      canvases.push(size);
    }
    getContext = () => ({ fillRect() {}, drawImage() {} });
    convertToBlob = async ({ type }) => new Blob(["small"], { type });
  };
  return canvases;
}

test("a large picture gets smaller, in its proportions, and keeps its name", async () => {
  const canvases = browser(4000, 3000);
  const small = await shrink(file);
  assert.deepEqual(canvases, [[1600, 1200]]);
  assert.deepEqual([small.name, small.type, await small.text()], ["a.png", "image/jpeg", "small"]);
});

test("a thin one keeps a pixel", async () => {
  const canvases = browser(50_000, 3);
  await shrink(file);
  assert.deepEqual(canvases, [[1600, 1]]);
});

test("a small one stays the same file, so that the library knows it by its bytes", async () => {
  browser(1600, 900);
  assert.equal(await shrink(file), file);
});

test("what the browser cannot read is left to the service", async () => {
  browser(1, 1);
  globalThis.createImageBitmap = async () => {
    throw new DOMException("", "InvalidStateError");
  };
  assert.equal(await shrink(file), file);
  delete globalThis.OffscreenCanvas;
  assert.equal(await shrink(file), file);
});
