import assert from "node:assert/strict";
import { test } from "node:test";
import { LOCALES, learn, speak, translator } from "../../web/js/i18n.js";
import { IDLE_SEARCH, initialState } from "../../web/js/store.js";
import { reasonOf } from "../../web/js/views/card.js";
import { errorWords } from "../../web/js/views/notice.js";
import { headingOf } from "../../web/js/views/results.js";
import { isGone } from "../../web/js/views/start.js";
import { WORDS } from "../../web/js/views/words.js";

await Promise.all(LOCALES.map(speak));
learn(WORDS);

test("what words found is not called similar", () => {
  const search = { ...IDLE_SEARCH, phase: "done", results: [{ id: "a" }, { id: "b" }] };
  const said = LOCALES.map((locale) => headingOf({ ...initialState({ locale }), words: "red", search }, translator(locale)));
  assert.deepEqual(said, ["2 pictures found", "找到 2 张图片"]);
  assert.equal(headingOf({ ...initialState({ locale: "en" }), search }, translator("en")), "2 similar pictures");
});

test("a card says how its picture was found", () => {
  /** @param {string} match @param {...string} found */
  const reason = (match, ...found) => reasonOf({ match, found_by: found }, translator("en"));
  assert.equal(reason("similar", "text"), "Found by words");
  assert.equal(reason("similar", "image"), "Found by picture");
  assert.equal(reason("similar", "image", "text"), "Found by both");
  assert.equal(reason("identical", "image"), "Same picture");
  assert.equal(reason("near_duplicate", "image", "text"), "Nearly the same");
  assert.equal(reasonOf({ match: "similar", found_by: ["text"] }, translator("zh")), "由文字找到");
});

test("a collection that is none of those there are is gone; a library without any is empty", () => {
  assert.equal(isGone({ collection: "gone", collections: ["default"] }), true);
  assert.equal(isGone({ collection: "default", collections: ["birds", "default"] }), false);
  assert.equal(isGone({ collection: "default", collections: [] }), false);
  assert.equal(isGone({ collection: "default" }), false, "an older service names none");
  assert.equal(isGone(null), false);
  assert.equal(errorWords({ status: 404, code: "collection_not_found" }).heading, "error.collection");
});
