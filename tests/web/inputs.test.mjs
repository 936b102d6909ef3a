import assert from "node:assert/strict";
import { test } from "node:test";
import { addressIn, pick, tooLarge } from "../../web/js/inputs.js";

const file = (name, type, size = 3) => ({ name, type, size });

test("every picture is taken, and what is left out is said", () => {
  const [text, cat, dog] = [file("a.txt", "text/plain"), file("cat.png", "image/png"), file("dog.png", "image/png")];
  assert.deepEqual(pick([cat, dog], undefined), { files: [cat, dog], hint: null });
  assert.deepEqual(pick([text, cat, dog], { max_queries: 1 }), {
    files: [cat],
    hint: { key: "hint.leftOut", params: { n: 2 }, tone: "info" },
  });
});

test("a file of unknown type is left to the service", () => {
  const unknown = file("scan", "");
  assert.deepEqual(pick([unknown], undefined).files, [unknown]);
});

test("what cannot be searched with is refused with its reason", () => {
  for (const [given, key] of [
    [[], "hint.nothing"],
    [[file("a.pdf", "application/pdf")], "hint.notPicture"],
    [[file("a.png", "image/png", 0)], "hint.emptyFile"],
  ]) {
    const { files, hint } = pick(given, undefined);
    assert.deepEqual([files, hint.key], [[], key]);
  }
  const limits = { max_image_bytes: 1000 };
  const refusal = tooLarge(file("a.png", "image/png", 1001), limits);
  assert.deepEqual(refusal.params, { name: "a.png", size: "1.0 kB", limit: "1 kB" });
  assert.equal(tooLarge(file("a.png", "image/png", 1000), limits), null);
  assert.equal(tooLarge(file("a.png", "image/png", 1e9), undefined), null);
});

test("a text is an address only where it is nothing else", () => {
  assert.equal(addressIn(" https://a.example/b.png?c=1\n"), "https://a.example/b.png?c=1");
  for (const text of ["", "a cat", "see https://a.example", "javascript:alert(1)", "file:///etc/passwd", "https://"]) {
    assert.equal(addressIn(text), null, text);
  }
});
