import assert from "node:assert/strict";
import { test } from "node:test";
import { linkOf, readLink } from "../../web/js/link.js";
import { CLOSED_LIBRARY, NO_FILTERS, PLAIN, initialState } from "../../web/js/store.js";

const id = (digit) => digit.repeat(64);
const AT_SEARCH = { library: null, collection: "" };
const state = (change) => ({ ...initialState({ locale: "en" }), ...change });

test("the page's start has no query string", () => {
  assert.equal(linkOf(state({})), "");
  assert.deepEqual(readLink(""), { ...PLAIN, ...AT_SEARCH, imageId: null, url: null, topK: 20, viewedId: null });
});

test("what a link is made of is read from it again", () => {
  const refinement = {
    words: "red & blue = 紫?",
    share: 0,
    crop: { left: 0.1, top: 0.2, right: 0.9, bottom: 1 },
    filters: { tags: ["a b", "猫"], minWidth: 800, minHeight: 600, from: "2026-01-01", to: "2026-02-01", match: "similar", collapse: "near_duplicate" },
    negatives: [{ id: id("a"), name: "aaaaaaaaaaaa" }, { id: id("b"), name: "bbbbbbbbbbbb" }],
  };
  const stored = state({ ...refinement, query: { kind: "stored", imageId: id("c") }, topK: 50, viewed: { id: id("d") } });
  assert.deepEqual(readLink(linkOf(stored)), { ...refinement, ...AT_SEARCH, imageId: id("c"), url: null, topK: 50, viewedId: id("d") });
  const url = "https://a.example/b?c=d&e=%20#f";
  assert.equal(readLink(linkOf(state({ query: { kind: "url", url } }))).url, url);
});

test("an uploaded picture, and the region of it, are in no link", () => {
  const crop = { left: 0, top: 0, right: 0.5, bottom: 1 };
  assert.equal(linkOf(state({ query: { kind: "file", file: new Blob(["x"]) }, crop })), "");
});

test("what cannot be is left out", () => {
  const link = readLink(
    "?id=../x&url=javascript:alert(1)&share=7&crop=0.5,0,0.4,1&width=-3&height=1e9&from=soon&match=all&collapse=x&not=1,2&n=0&view=z&library=x&collection=1__",
  );
  assert.deepEqual(link, { ...PLAIN, ...AT_SEARCH, filters: NO_FILTERS, imageId: null, url: null, topK: 20, viewedId: null });
  assert.equal(readLink("?n=99999").topK, 200);
  assert.equal(readLink("?crop=a,b,c,d").crop, null);
  assert.equal(readLink("?crop=0,0,0.5").crop, null);
});

test("a link to the library has its list, its collection and the viewed picture, and no search", () => {
  const library = { ...CLOSED_LIBRARY, which: "new" };
  const link = linkOf(state({ words: "cat", topK: 50, library, collection: "birds", viewed: { id: id("d") } }));
  assert.equal(link, `?library=new&collection=birds&view=${id("d")}`);
  const { library: which, collection, viewedId } = readLink(link);
  assert.deepEqual([which, collection, viewedId], ["new", "birds", id("d")]);
  assert.equal(readLink(linkOf(state({ words: "cat", collection: "birds" }))).collection, "birds");
});
