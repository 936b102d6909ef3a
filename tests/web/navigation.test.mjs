import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Navigation } from "../../web/js/navigation.js";
import { Store, initialState } from "../../web/js/store.js";

const id = (digit) => digit.repeat(64);
const stored = (digit) => ({ kind: "stored", imageId: id(digit) });

/** A browser's history and address, of which one walks back with `back`. */
class Past {
  entries = [{ state: null, search: "" }];
  place = 0;
  address = { pathname: "/page/", search: "" };
  get state() {
    return this.entries[this.place].state;
  }
  pushState(state, _, url) {
    this.entries.length = this.place + 1;
    this.entries.push({ state });
    this.place += 1;
    this.#go(url);
  }
  replaceState(state, _, url) {
    this.entries[this.place] = { state };
    this.#go(url);
  }
  #go(url) {
    this.address.search = this.entries[this.place].search = url.slice("/page/".length);
  }
  back(by = 1) {
    this.place -= by;
    this.address.search = this.entries[this.place].search;
  }
}

let store, past, opened, navigation;
beforeEach(() => {
  store = new Store(initialState({ locale: "en" }));
  past = new Past();
  opened = [];
  navigation = new Navigation({
    store,
    past,
    address: past.address,
    onOpen: (link, files, behind) => {
      opened.push({ words: link.words, files, behind });
      store.update({ viewed: null });
      if (link.library) {
        if (behind) store.update({ words: behind.words });
        return store.updateLibrary({ which: link.library });
      }
      store.updateLibrary({ which: null });
      store.update({ words: link.words, query: files.length ? { kind: "file", file: files[0] } : null });
    },
  });
});

test("a link is opened, and opening makes no step of its own", async () => {
  past.address.search = past.entries[0].search = "?q=cat";
  await navigation.open();
  assert.equal(store.state.words, "cat");
  assert.deepEqual([past.entries.length, past.address.search], [1, "?q=cat"]);
  store.update({ query: stored("a") });
  past.back();
  await navigation.walk();
  assert.deepEqual([opened.length, store.state.query], [2, null], "the first entry is walked to as any other");
});

test("each new question is a step; a slider and the next picture in the viewer are not", async () => {
  await navigation.open();
  store.update({ query: stored("a") });
  store.update({ words: "red" });
  assert.equal(past.entries.length, 3);
  store.update({ share: 0.7 });
  store.update({ crop: { left: 0, top: 0, right: 0.5, bottom: 1 } });
  store.update({ topK: 50 });
  assert.equal(past.entries.length, 3);
  store.update({ viewed: { id: id("b") } });
  store.update({ viewed: { id: id("c") } });
  assert.equal(past.entries.length, 4, "back closes the viewer");
  assert.match(past.address.search, /share=0\.7.*n=50&view=c{64}$/);
});

test("closing the viewer goes back to what it stood over, so that back does not open it again", async () => {
  await navigation.open();
  store.update({ words: "red" });
  store.update({ viewed: { id: id("b") } });
  store.update({ viewed: { id: id("c") } });
  store.update({ viewed: null });
  assert.deepEqual([past.place, past.address.search], [1, "?q=red"]);
  store.update({ negatives: [{ id: id("d"), name: "" }] });
  assert.equal(past.entries.length, 3, "the browser is on its way");
  await navigation.walk();
  assert.equal(opened.length, 1, "nothing is searched for again");
  assert.match(past.address.search, /^\?q=red&not=d{64}$/);
  assert.deepEqual([past.place, past.entries.length], [2, 3]);
});

test("back brings an uploaded picture again, which no address carries", async () => {
  await navigation.open();
  const file = new Blob(["x"]);
  store.update({ query: { kind: "file", file } });
  store.update({ query: stored("a") });
  past.back();
  await navigation.open();
  assert.deepEqual(opened.at(-1).files, [file]);
  assert.equal(store.state.query.file, file);
  assert.equal(past.entries.length, 3, "the way forward is still there");
});

test("a link within the page is no other question", async () => {
  await navigation.open();
  const file = new Blob(["x"]);
  store.update({ query: { kind: "file", file } });
  past.entries.push({ state: null, search: "" });
  past.place += 1;
  await navigation.walk();
  assert.deepEqual([opened.length, store.state.query.file, past.state], [1, file, { upload: 0, behind: undefined }]);
  past.back();
  await navigation.walk();
  assert.equal(opened.length, 2);
});

test("after a reload it says gently that the picture must be given again", async () => {
  past.entries[0].state = { upload: 0 };
  await navigation.open();
  assert.equal(store.state.hint.key, "hint.uploadGone");
});

test("the library opens again with the search that stood behind it, and only where that is another", async () => {
  await navigation.open();
  store.update({ words: "cat" });
  store.updateLibrary({ which: "all" });
  assert.equal(past.address.search, "?library=all", "the search is in no link to the library");
  store.update({ viewed: { id: id("a") } });
  past.back();
  await navigation.walk();
  assert.equal(opened.at(-1).behind, null, "it is there already");
  past.back();
  past.back();
  await navigation.walk();
  assert.equal(store.state.words, "", "the start");
  past.back(-2);
  await navigation.walk();
  assert.deepEqual([opened.at(-1).behind?.words, store.state.words], ["cat", "cat"]);
});
