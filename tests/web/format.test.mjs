import assert from "node:assert/strict";
import { test } from "node:test";
import { barFill, displayName, formatBytes, formatMs, formatScore, safeUrl } from "../../web/js/format.js";

test("scores have three digits, and only the same picture shows 1", () => {
  assert.deepEqual([1, 0.99997, 0.9996, 0.91349, 0, -0.0001, -0.25].map(formatScore), [
    "1.000", "1.000", "0.999", "0.913", "0.000", "0.000", "-0.250",
  ]);
  assert.equal(formatScore(NaN), "–");
});

test("the bar stays within its frame", () => {
  assert.deepEqual([-0.5, 0, 0.4, 1, 1.2, NaN].map((score) => barFill(score)), [0, 0, 0.4, 1, 1, 0]);
  assert.equal(barFill(6, 12), 0.5, "the score of words has no bound: the first is the measure");
});

test("times", () => {
  assert.deepEqual([0, 3.14159, 99.96, 123.4, 12345].map(formatMs), ["0.0 ms", "3.1 ms", "100.0 ms", "123 ms", "12.3 s"]);
});

test("sizes in decimal units", () => {
  assert.deepEqual([0, 999, 1000, 39_234, 999_600, 20_000_000, 64_500_000].map(formatBytes), [
    "0 B", "999 B", "1 kB", "39.2 kB", "1.0 MB", "20 MB", "64.5 MB",
  ]);
});

test("a picture is called by its title, its source's last part, or its id", () => {
  const id = "0123456789abcdef".repeat(4);
  assert.equal(displayName({ id, title: " A cat ", source_name: "a/b.jpg" }), "A cat");
  assert.equal(displayName({ id, title: "", source_name: "a/猫.jpg" }), "猫.jpg");
  assert.equal(displayName({ id, title: "", source_name: "" }), "0123456789ab");
  assert.equal(displayName({ id, title: "\u200b\u2060\ufeff", source_name: "a/b.jpg" }), "b.jpg", "nothing can be seen of it");
  assert.equal(displayName({ id, title: "\u202e\u0301", source_name: "a/\u200b" }), "a");
  assert.equal(displayName({ id, title: "🏴", source_name: "" }), "🏴");
});

test("only addresses of pictures pass", () => {
  const base = "https://here.example/page/";
  assert.equal(safeUrl("http://h/x?sig=1", base), "http://h/x?sig=1");
  assert.equal(safeUrl("/images/1/file", base), "https://here.example/images/1/file");
  assert.equal(safeUrl("blob:https://here.example/1", base), "blob:https://here.example/1");
  for (const bad of ["javascript:alert(1)", " JaVaScRiPt:alert(1)", "data:text/html,x", "file:///x", "http://", "", null]) {
    assert.equal(safeUrl(bad, base), null, String(bad));
  }
});
