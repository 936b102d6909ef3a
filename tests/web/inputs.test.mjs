import assert from "node:assert/strict";
import { test } from "node:test";
import { pick } from "../../web/js/inputs.js";

const file = (name, type, size = 3) => ({ name, type, size });

test("the first picture is taken, and more than one is said", () => {
  const [text, cat, dog] = [file("a.txt", "text/plain"), file("cat.png", "image/png"), file("dog.png", "image/png")];
  assert.deepEqual(pick([cat], undefined), { file: cat, hint: null });
  const { file: taken, hint } = pick([text, cat, dog], undefined);
  assert.equal(taken, cat);
  assert.deepEqual(hint, { key: "hint.firstOnly", params: { name: "cat.png" }, tone: "info" });
});

test("a file of unknown type is left to the service", () => {
  const unknown = file("scan", "");
  assert.equal(pick([unknown], undefined).file, unknown);
});

test("what cannot be searched with is refused with its reason", () => {
  const limits = { max_image_bytes: 1000 };
  assert.equal(pick([], limits).hint.key, "hint.nothing");
  assert.equal(pick([file("a.pdf", "application/pdf")], limits).hint.key, "hint.notPicture");
  assert.equal(pick([file("a.png", "image/png", 0)], limits).hint.key, "hint.emptyFile");
  const tooLarge = pick([file("a.png", "image/png", 1001)], limits);
  assert.equal(tooLarge.file, null);
  assert.deepEqual(tooLarge.hint.params, { name: "a.png", size: "1.0 kB", limit: "1 kB" });
  assert.ok(pick([file("a.png", "image/png", 1000)], limits).file);
});
