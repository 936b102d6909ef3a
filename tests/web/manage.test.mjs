import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { afterEach, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Api, ApiError, isAbort } from "../../web/js/api.js";
import { LOCALES, learn, speak, translator } from "../../web/js/i18n.js";
import { SessionKey } from "../../web/js/keys.js";
import { Calls } from "../../web/js/manage/calls.js";
import { Gate } from "../../web/js/manage/gate.js";
import { Jobs } from "../../web/js/manage/jobs.js";
import { Library } from "../../web/js/manage/library.js";
import { Uploads } from "../../web/js/manage/uploads.js";
import { WORDS } from "../../web/js/manage/words.js";
import { Store, initialState } from "../../web/js/store.js";

const noStorage = () => {
  throw new Error("switched off");
};
const refusal = (status = 401) => new ApiError({ status, code: "invalid_key" });
const away = () => new ApiError({ status: 0, code: "network" });
const image = (id, more = {}) => ({ id, title: "", source_name: `${id}.png`, tags: [], ...more });
const ids = (images) => images.map(({ id }) => id).join("");

let store, keys, gate;
beforeEach(() => {
  store = new Store(initialState({ locale: "en" }));
  keys = { user: new SessionKey(noStorage), admin: new SessionKey(noStorage) };
  gate = new Gate({ store, keys, held: () => ({ isAdmin: keys.admin.get() !== null }) });
});

/** Gives the key as soon as one is asked for. */
function giveWhenAsked(...values) {
  store.subscribe(({ library: { asks } }) => {
    if (asks && values.length) queueMicrotask(() => gate.give(values.shift()));
  });
}

describe("the gate", () => {
  test("the admin key is asked for before anything is sent, once for all that wait", async () => {
    let asked = 0;
    store.subscribe(({ library: { asks } }) => (asked += asks ? 1 : 0));
    const done = Promise.all([1, 2, 3].map((n) => gate.through("admin", async () => `${n}${keys.admin.get()}`)));
    await sleep(0);
    assert.deepEqual(store.state.library.asks, { role: "admin", refused: false });
    gate.give("k");
    assert.deepEqual(await done, ["1k", "2k", "3k"]);
    assert.equal(asked, 1);
    assert.equal(store.state.isAdmin, true);
    assert.equal(store.state.library.asks, null);
  });

  test("a refused key is forgotten and asked for again; other failures go on", async () => {
    giveWhenAsked("wrong", "right");
    const seen = [];
    const work = async () => {
      seen.push(keys.admin.get());
      if (keys.admin.get() === "wrong") throw refusal(403);
      return "done";
    };
    assert.equal(await gate.through("admin", work), "done");
    assert.deepEqual(seen, ["wrong", "right"]);
    await assert.rejects(gate.through("admin", async () => Promise.reject(away())), { status: 0 });
  });

  test("a user's key is asked for only when the service wants one", async () => {
    assert.equal(await gate.through("user", async () => "open"), "open");
    giveWhenAsked("k");
    const work = async () => {
      if (!keys.user.get()) throw refusal();
      return "locked";
    };
    assert.equal(await gate.through("user", work), "locked");
  });

  test("who gives no key stops the work", async () => {
    const done = gate.through("admin", () => assert.fail("it was done"));
    gate.cancel();
    await assert.rejects(done, isAbort);
    assert.equal(store.state.library.asks, null);
  });
});

describe("the pictures", () => {
  let calls, library, changed;
  beforeEach(() => {
    keys.admin.set("k");
    changed = 0;
    calls = {
      asked: [],
      /** @type {string[]} of what was changed, collection and id */
      changed: [],
      of(collection) {
        const told = (work) => async (id, ...rest) => {
          this.changed.push(`${collection}/${id}`);
          return work(id, ...rest);
        };
        return { ...this, update: told(this.update), remove: told(this.remove), destroy: told(this.destroy), restore: told(this.restore) };
      },
      async list(asked) {
        this.asked.push(asked);
        return asked.cursor ? { images: [image("c"), image("d")], next: null } : { images: [image("a"), image("c")], next: "2" };
      },
      random: async () => ({ images: [image("x")] }),
      deleted: async () => ({ images: [image("t"), image("u")], next: null }),
      update: async (id, changes) => image(id, changes),
      remove: async () => ({}),
      destroy: async () => ({}),
      restore: async (id) => image(id),
    };
    library = new Library({ calls, store, gate, onChanged: () => (changed += 1) });
  });
  const shown = () => ids(store.state.library.images);

  test("pages follow each other, and no picture comes twice", async () => {
    await library.open("all");
    assert.equal(shown(), "ac");
    await library.more();
    await library.more();
    assert.equal(shown(), "acd");
    assert.deepEqual(calls.asked.map(({ cursor }) => cursor), [null, "2"]);
  });

  test("the newest come first, and a new picture comes before them", async () => {
    const at = (id, created_at) => image(id, { created_at });
    calls.list = async (asked) => {
      calls.asked.push(asked);
      return { images: [at("c", "2026-02-02T00:00:00Z"), at("a", "2026-01-01T00:00:00Z"), at("d", "2026-01-01T00:00:00Z")], next: null };
    };
    await library.open("new");
    assert.equal(calls.asked[0].order, "newest");
    library.put(at("x", "2026-03-03T00:00:00Z"));
    library.put(at("b", "2026-01-01T00:00:00Z"));
    library.put(at("a", "2026-03-03T00:00:00Z"));
    library.put(at("y", "2025-01-01T00:00:00Z"));
    assert.equal(shown(), "xcabdy");
  });

  test("a late answer to an older list is dropped", async () => {
    let answer;
    calls.list = () => new Promise((resolve) => (answer = resolve));
    const late = library.open("all");
    await library.open("random");
    answer({ images: [image("z")], next: null });
    await late;
    assert.equal(shown(), "x");
  });

  test("what the service's absence stopped goes on from where it was", async () => {
    await library.open("all");
    const { list } = calls;
    calls.list = async () => Promise.reject(away());
    await library.more();
    assert.deepEqual([store.state.library.phase, shown()], ["error", "ac"]);
    calls.list = list;
    await library.resume();
    assert.deepEqual([store.state.library.phase, shown()], ["done", "acd"]);
  });

  test("a new picture takes its place among those that are loaded", async () => {
    await library.open("all");
    library.put(image("b"));
    library.put(image("b"));
    library.put(image("z"));
    assert.equal(shown(), "abc", "z belongs to a page that is not here yet");
    await library.more();
    library.put(image("z"));
    assert.equal(shown(), "abcdz");
  });

  test("new words reach every list and the viewer; a search keeps its scores", async () => {
    await library.open("all");
    const result = image("c", { score: 0.5 });
    store.updateSearch({ results: [result] });
    store.update({ viewed: result, rows: [{ results: [result] }] });
    await library.save(image("c"), { title: "new" });
    const { viewed, search, rows, library: now } = store.state;
    assert.deepEqual([now.images[1].title, search.results[0].title, search.results[0].score], ["new", "new", 0.5]);
    assert.equal(viewed, search.results[0]);
    assert.equal(viewed, rows[0].results[0], "the viewer still finds its row");
    assert.equal(now.done.key, "manage.saved");
  });

  test("a refused edit keeps the dialog with its reason", async () => {
    calls.update = async () => Promise.reject(new ApiError({ status: 422, code: "invalid" }));
    store.updateLibrary({ edited: image("a") });
    await library.save(image("a"), { title: "x" });
    assert.equal(store.state.library.edited.id, "a");
    assert.equal(store.state.library.editError.status, 422);
  });

  test("delete takes a picture from every list, undo puts it back", async () => {
    await library.open("all");
    store.updateSearch({ results: [image("a"), image("c")] });
    store.update({ viewed: image("a") });
    await library.remove(image("a"));
    assert.deepEqual([shown(), ids(store.state.search.results), store.state.viewed], ["c", "c", null]);
    assert.equal(store.state.library.done.undo, true);
    await library.undo();
    assert.deepEqual([shown(), ids(store.state.search.results)], ["ac", "ac"]);
    assert.deepEqual([store.state.library.done.undo, changed], [false, 2]);
    await library.undo();
    assert.equal(changed, 2, "it is undone once");
  });

  test("undo finds the place when the list has changed meanwhile", async () => {
    await library.open("all");
    await library.remove(image("a"));
    await library.more();
    await library.undo();
    assert.equal(shown(), "acd");
  });

  test("what could not be deleted stays, and why is told", async () => {
    await library.open("all");
    calls.remove = async () => Promise.reject(away());
    await library.remove(image("a"));
    assert.equal(shown(), "ac");
    assert.deepEqual([store.state.library.done.key, store.state.library.done.error.status], ["manage.notDeleted", 0]);
  });

  test("several are deleted at once, three at a time, and all come back by one undo", async () => {
    let [open, most] = [0, 0];
    calls.remove = async () => {
      most = Math.max(most, (open += 1));
      await sleep(1);
      open -= 1;
    };
    calls.list = async () => ({ images: [..."abcdefg"].map((id) => image(id)), next: null });
    await library.open("all");
    library.select(true);
    library.mark(["b", "c", "d", "e"], true);
    library.mark(["d"], false);
    assert.deepEqual(store.state.library.selected, ["b", "c", "e"]);
    const working = [];
    store.subscribe(({ library: { working: now } }) => now && working.push(`${now.n}/${now.of}`));
    await library.removeAll([..."bcef"].map((id) => image(id)));
    assert.deepEqual([shown(), most, working.at(-1)], ["adg", 3, "4/4"]);
    const { done, selected, working: left } = store.state.library;
    assert.deepEqual([done.key, done.n, done.undo, selected, left], ["manage.deletedMany", 4, true, [], null]);
    await library.undo();
    assert.equal(shown(), "abcdefg");
    assert.deepEqual([store.state.library.done.key, store.state.library.done.n, changed], ["manage.restoredMany", 4, 2]);
  });

  test("what was begun in one collection ends there, and its undo too, whichever is shown meanwhile", async () => {
    calls.list = async () => ({ images: [..."abcdefg"].map((id) => image(id)), next: null });
    store.update({ collection: "birds" });
    await library.open("all");
    const { remove } = calls;
    calls.remove = async (id) => {
      store.update({ collection: "cats" });
      return remove(id);
    };
    await library.removeAll([..."bcef"].map((id) => image(id)));
    assert.deepEqual(calls.changed, ["birds/b", "birds/c", "birds/e", "birds/f"]);
    assert.equal(shown(), "abcdefg", "the pictures of the other one stay");
    await library.undo();
    assert.deepEqual(calls.changed.slice(4), ["birds/b", "birds/c", "birds/e", "birds/f"]);
    store.update({ collection: "" });
  });

  test("a failure among several is told with how many were done, and undo brings those back", async () => {
    calls.list = async () => ({ images: [..."abcdefgh"].map((id) => image(id)), next: null });
    await library.open("all");
    let done = 0;
    calls.remove = async () => {
      await sleep(1);
      if ((done += 1) > 4) throw new ApiError({ status: 503, code: "vector_store_unavailable" });
    };
    await library.removeAll([..."abcdefgh"].map((id) => image(id)));
    const told = store.state.library.done;
    assert.deepEqual([told.key, told.n, told.undo, told.error.status], ["manage.deletedMany", 4, true, 503]);
    assert.equal(shown().length, 4);
    await library.undo();
    assert.equal(shown(), "abcdefgh");
  });

  test("tags are added to those that each has", async () => {
    const asked = [];
    calls.update = async (id, changes) => {
      asked.push([id, changes.tags]);
      return image(id, changes);
    };
    await library.open("all");
    calls.image = async (id) => image(id, { tags: id === "a" ? ["x", "since"] : ["new"] });
    await library.tagAll([image("a", { tags: ["x"] }), image("c", { tags: ["new"] })], ["new", "y"]);
    assert.deepEqual(asked.sort(), [["a", ["x", "since", "new", "y"]], ["c", ["new", "y"]]], "others give tags meanwhile");
    assert.deepEqual(store.state.library.images.map(({ tags }) => tags.length), [4, 2]);
    assert.equal(store.state.library.done.key, "manage.taggedMany");
    await library.tagAll([image("a")], []);
    assert.equal(asked.length, 2);
  });

  test("what lies in the trash goes for good only after it was asked about", async () => {
    const destroyed = [];
    calls.destroy = async (id) => destroyed.push(id);
    await library.open("trash");
    await library.destroy();
    assert.deepEqual(destroyed, []);
    library.ask([image("t")]);
    assert.deepEqual(store.state.library.sure.map(({ id }) => id), ["t"]);
    store.updateLibrary({ sure: null });
    await library.destroy();
    assert.deepEqual(destroyed, []);
    library.ask([image("t")]);
    await library.destroy();
    assert.deepEqual([destroyed, ids(store.state.library.deleted), store.state.library.done.key], [["t"], "u", "manage.destroyed"]);
  });

  test("another list begins without a selection", async () => {
    await library.open("all");
    library.select(true);
    library.mark(["a"], true);
    await library.open("trash");
    assert.deepEqual([store.state.library.selecting, store.state.library.selected], [false, []]);
  });

  test("a restored picture leaves the trash", async () => {
    await library.open("trash");
    await library.restore(image("t"));
    assert.equal(ids(store.state.library.deleted), "u");
  });
});

describe("adding", () => {
  let uploads, sent, most, open, respond, added;
  const file = (name, type = "image/png") => new File(["bytes"], name, { type });
  const phases = () => store.state.library.uploads.map(({ phase }) => phase).join(" ");
  beforeEach(() => {
    keys.admin.set("k");
    [sent, most, open, added] = [[], 0, 0, []];
    respond = async ({ name }) => ({ ...image(name), status: "created" });
    const insert = async (upload, { signal }) => {
      sent.push(upload.into ? `${upload.into}/${upload.name}` : upload.name);
      most = Math.max(most, (open += 1));
      try {
        await sleep(2, null, { signal }).catch(() => signal.throwIfAborted());
        return await respond(upload);
      } finally {
        open -= 1;
      }
    };
    const calls = { of: (collection) => ({ insert: (upload, options) => insert({ ...upload, into: collection }, options) }) };
    uploads = new Uploads({ calls, store, gate, onAdded: ({ id }) => added.push(id), onEnd: () => added.push("end") });
  });

  test("they go into the collection that was shown when they were given", async () => {
    respond = async ({ name }) => ({ ...image(name), status: "created" });
    store.update({ collection: "birds" });
    const ended = uploads.files([file("1"), file("2"), file("3"), file("4"), file("5")]);
    store.update({ collection: "cats" });
    await ended;
    assert.deepEqual(sent, ["birds/1", "birds/2", "birds/3", "birds/4", "birds/5"]);
    assert.deepEqual(added, ["end"], "the one that is shown now has none of them");
  });

  test("three go at once, each has its outcome, and a failure stops no other", async () => {
    respond = async ({ name }) => {
      if (name === "c") throw new ApiError({ status: 422, code: "invalid_image", detail: "cut short" });
      return { ...image(name), status: name === "b" ? "duplicate" : "created" };
    };
    await uploads.files([..."abcdefg"].map((name) => file(name)));
    assert.equal(most, 3);
    assert.equal(phases(), "created duplicate failed created created created created");
    assert.equal(store.state.library.uploads[2].error.detail, "cut short");
    assert.equal(added.at(-1), "end");
    assert.equal(store.state.library.uploading, false);
  });

  test("what cannot be sent is told without sending it, and is not tried again", async () => {
    store.update({ service: { phase: "ready", returned: false, status: { limits: { max_image_bytes: 3 } } } });
    await uploads.files([file("notes", "text/plain"), file("large"), new File([], "empty")]);
    assert.equal(phases(), "failed failed failed");
    assert.deepEqual(
      store.state.library.uploads.map(({ hint }) => hint.key),
      ["hint.notPicture", "hint.tooLarge", "hint.emptyFile"],
    );
    await uploads.again();
    assert.deepEqual(sent, []);
  });

  test("stop ends those under way and those that wait; the rest is tried again when wanted", async () => {
    const running = uploads.files([..."abcd"].map((name) => file(name)));
    uploads.stop();
    await running;
    assert.equal(phases(), "stopped stopped stopped stopped");
    await uploads.again();
    assert.equal(phases(), "created created created created");
    uploads.clear();
    assert.deepEqual(store.state.library.uploads, []);
  });

  test("what comes while others go is sent as well", async () => {
    const first = uploads.files([file("a")]);
    await uploads.address("https://a.example/b.png");
    await first;
    assert.equal(phases(), "created created");
  });

  test("it goes as slowly as the service wants", async () => {
    let busy = 1;
    respond = async ({ name }) => {
      if (busy-- > 0) throw new ApiError({ status: 429, code: "too_many", retryAfterS: 0.01 });
      return { ...image(name), status: "created" };
    };
    await uploads.files([file("a")]);
    assert.deepEqual([phases(), sent.length], ["created", 2]);
  });

  test("without a key nothing is sent", async () => {
    keys.admin.set(null);
    const running = uploads.files([..."abcde"].map((name) => file(name)));
    await sleep(0);
    gate.cancel();
    await running;
    assert.equal(phases(), "stopped stopped stopped stopped stopped");
    assert.deepEqual(sent, []);
  });
});

describe("jobs", () => {
  let jobs, answers, ended;
  const job = (state, more = {}) => ({ id: "j", state, total: 4, done: 1, failed: 0, ...more });
  beforeEach(() => {
    keys.admin.set("k");
    ended = 0;
    answers = [];
    const next = async () => {
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      if (answer instanceof Error) throw answer;
      return answer;
    };
    const calls = { newestJob: next, job: next, cancel: next, retry: async (id) => job("queued", { id: `${id}2` }), index: async (projection) => job("queued", { id: projection }), failures: async () => [{ number: 1, item: "a", reason: "b" }] };
    jobs = new Jobs({ calls, store, gate, onEnd: () => (ended += 1), pollMs: 1 });
  });
  afterEach(() => jobs.close());

  test("the newest job is watched to its end", async () => {
    answers = [job("queued"), job("running", { done: 2 }), job("done", { done: 4 })];
    await jobs.open();
    while (!ended) await sleep(2);
    assert.deepEqual([store.state.library.job.done, ended], [4, 1]);
  });

  test("a job that had ended before is shown, and ends nothing", async () => {
    answers = [job("done")];
    await jobs.open();
    await sleep(5);
    assert.deepEqual([store.state.library.job.state, ended], ["done", 0]);
  });

  test("start and retry show the new job; the older one's failures go", async () => {
    answers = [job("failed", { failed: 1 })];
    await jobs.open();
    await jobs.failures();
    assert.equal(store.state.library.failures.length, 1);
    await jobs.retry();
    assert.equal(store.state.library.job.id, "j2");
    assert.equal(store.state.library.failures, null);
    answers = [job("queued", { id: "pca:8" })];
    await jobs.start("pca:8");
    assert.equal(store.state.library.job.id, "pca:8");
  });

  test("cancelling ends it at once; a refusal is told", async () => {
    answers = [job("running")];
    await jobs.open();
    answers = [job("cancelled")];
    await jobs.cancel();
    assert.deepEqual([store.state.library.job.state, ended], ["cancelled", 1]);
    answers = [new ApiError({ status: 409, code: "conflict" })];
    await jobs.cancel();
    assert.equal(store.state.library.jobError.status, 409);
  });
});

describe("requests", () => {
  const realFetch = globalThis.fetch;
  afterEach(() => {
    globalThis.fetch = realFetch;
  });

  test("each goes to its collection with its key; jobs belong to none", async () => {
    const asked = [];
    globalThis.fetch = async (url, init) => {
      asked.push([init.method ?? "GET", url, init.headers.get("X-API-Key"), init.body]);
      return new Response(JSON.stringify({ images: [], jobs: [], job: {} }));
    };
    const calls = new Calls(new Api({ base: "", key: (role) => role, collection: () => "birds" }));
    await calls.list({ limit: 2, cursor: null, filter: { a: 1 } });
    await calls.deleted({ limit: 2, cursor: "c" });
    await calls.update("i", { title: "" });
    await calls.restore("i");
    await calls.insert({ file: null, url: "https://a.example/b.png", name: "b" });
    await calls.index("pca:4");
    await calls.destroy("i");
    assert.equal(await calls.newestJob("rebuild"), null);
    await calls.exportLink();
    assert.deepEqual(asked, [
      ["GET", "/images?limit=2&filter=%7B%22a%22%3A1%7D&collection=birds", "user", undefined],
      ["GET", "/images/deleted?limit=2&cursor=c&collection=birds", "admin", undefined],
      ["PATCH", "/images/i?collection=birds", "admin", '{"title":""}'],
      ["POST", "/images/i/restore?collection=birds", "admin", undefined],
      ["POST", "/insert?collection=birds", "admin", '{"image_url":"https://a.example/b.png"}'],
      ["POST", "/indexing?collection=birds", "admin", '{"projection":"pca:4"}'],
      ["DELETE", "/images/i?permanently=true&collection=birds", "admin", undefined],
      ["GET", "/jobs?limit=100", "admin", undefined],
      ["POST", "/export?collection=birds", "admin", undefined],
    ]);
  });

  test("a file to add travels as multipart under its own name", async () => {
    let form;
    globalThis.fetch = async (_, init) => {
      form = init.body;
      return new Response('{"id": "i", "status": "created"}');
    };
    const made = await new Calls(new Api({ base: "", key: () => null })).insert({ file: new File(["x"], "a.png"), url: "", name: "a.png" });
    assert.deepEqual([form.get("image").name, made.status], ["a.png", "created"]);
  });
});

test("every language has the same words for the library, none left over", async () => {
  assert.deepEqual(Object.keys(WORDS.zh).sort(), Object.keys(WORDS.en).sort());
  const holes = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();
  for (const [key, words] of Object.entries(WORDS.en)) {
    assert.ok(words.trim() && WORDS.zh[key].trim(), key);
    assert.deepEqual(holes(WORDS.zh[key]), holes(words), key);
  }
  const folder = new URL("../../web/js/manage/", import.meta.url);
  const names = (await readdir(folder)).filter((name) => name !== "words.js");
  const source = (await Promise.all(names.map((name) => readFile(new URL(name, folder), "utf8")))).join("\n");
  const built = /^(manage\.(deleted|restored|destroyed|tagged)Many|library\.(all|new|random|trash)|add\.(waiting|sending|created|duplicate|stopped))$/;
  const unused = Object.keys(WORDS.en).filter((key) => !source.includes(`"${key.replace(/\.(one|other)$/, "")}"`) && !built.test(key));
  assert.deepEqual(unused, []);
});

test("learnt words are spoken like the page's own", async () => {
  await Promise.all(LOCALES.map((locale) => speak(locale)));
  learn(WORDS);
  assert.equal(translator("en").plural("add.added", 1), "1 added");
  assert.equal(translator("zh").t("library.trash"), WORDS.zh["library.trash"]);
});
