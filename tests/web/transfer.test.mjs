import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Api, ApiError } from "../../web/js/api.js";
import { learn, speak, translator } from "../../web/js/i18n.js";
import { SessionKey } from "../../web/js/keys.js";
import { Calls } from "../../web/js/manage/calls.js";
import { Gate } from "../../web/js/manage/gate.js";
import { IMPORTS, Jobs } from "../../web/js/manage/jobs.js";
import { Transfer } from "../../web/js/manage/transfer.js";
import { outcomeOf } from "../../web/js/manage/vectors.js";
import { WORDS } from "../../web/js/manage/words.js";
import { Store, initialState } from "../../web/js/store.js";

const job = (state, more = {}) => ({ id: "j", kind: "import", state, total: 4, done: 1, failed: 0, ...more });
let store, keys, calls, transfer, followed, seen;
beforeEach(() => {
  store = new Store(initialState({ locale: "en" }));
  keys = { user: new SessionKey(() => null), admin: new SessionKey(() => null) };
  keys.admin.set("k");
  const gate = new Gate({ store, keys, held: () => ({}) });
  [followed, seen] = [[], []];
  calls = {
    exportLink: async () => "https://a.example/export?ticket=t",
    importVectors: async (file, collection, { onProgress }) => {
      onProgress(2);
      return job("queued", { file, collection });
    },
    cancel: async () => job("cancelled"),
    job: async () => job("done"),
  };
  const jobs = new Jobs({ calls, store, gate, onEnd: () => {}, pollMs: 1e6, panel: IMPORTS });
  transfer = new Transfer({ calls, store, gate, jobs, follow: (url) => followed.push(url) });
  store.subscribe(({ library: { vectors } }) => seen.push(vectors.sending?.sentBytes));
});
const vectors = () => store.state.library.vectors;

describe("vectors", () => {
  test("the browser itself fetches the file, by a link", async () => {
    await transfer.take();
    assert.deepEqual(followed, ["https://a.example/export?ticket=t"]);
    calls.exportLink = async () => Promise.reject(new ApiError({ status: 404, code: "collection_not_found" }));
    await transfer.take();
    assert.deepEqual([followed.length, vectors().error.status], [1, 404]);
  });

  test("a file is sent with its progress, and its job is watched", async () => {
    await transfer.bring(new File(["four"], "a.h5"), "copy");
    assert.deepEqual([...new Set(seen)].filter((one) => one !== undefined), [0, 2]);
    assert.deepEqual([vectors().sending, vectors().job.collection, vectors().job.state], [null, "copy", "queued"]);
    assert.equal(store.state.library.job, null, "the index has a job of its own");
  });

  test("what is too large or empty is not even sent", async () => {
    store.update({ service: { phase: "ready", returned: false, status: { limits: { max_import_bytes: 3 } } } });
    calls.importVectors = () => assert.fail("it was sent");
    await transfer.bring(new File(["four"], "a.h5"), "copy");
    assert.equal(vectors().error.status, 413);
    await transfer.bring(new File([], "a.h5"), "copy");
    assert.equal(vectors().error.status, 422);
  });

  test("an older result is past from the sending on, unless that is cancelled", async () => {
    const older = job("done", { id: "older" });
    const shown = () => [vectors().job.id, vectors().isPast];
    store.updateLibrary({ vectors: { ...vectors(), job: older } });
    await transfer.bring(new File([], "empty.h5"), "copy");
    assert.deepEqual(shown(), ["older", true], "not even sent");

    calls.importVectors = async () => {
      assert.deepEqual([...shown(), vectors().error], ["older", true, null]);
      throw new ApiError({ status: 422, code: "invalid_input" });
    };
    await transfer.bring(new File(["four"], "a.h5"), "copy");
    assert.deepEqual([...shown(), vectors().error.status], ["older", true, 422]);

    calls.importVectors = async () => {
      assert.deepEqual(shown(), ["older", true]);
      throw new DOMException("cancelled", "AbortError");
    };
    await transfer.bring(new File(["four"], "a.h5"), "copy");
    assert.deepEqual([...shown(), vectors().error], ["older", false, null]);

    calls.importVectors = async () => job("queued");
    await transfer.bring(new File(["four"], "a.h5"), "copy");
    assert.deepEqual(shown(), ["j", false]);
  });

  test("cancel ends the sending, and afterwards the job", async () => {
    calls.importVectors = (_file, _collection, { signal }) => sleep(1e5, null, { signal }).catch(() => Promise.reject(signal.reason));
    const sent = transfer.bring(new File(["four"], "a.h5"), "copy");
    await sleep(1);
    await transfer.bring(new File(["more"], "b.h5"), "copy");
    assert.equal(vectors().sending.name, "a.h5", "one after the other");
    transfer.cancel();
    await sent;
    assert.deepEqual([vectors().sending, vectors().job, vectors().error], [null, null, null]);
    transfer.cancel();
    await sleep(1);
    assert.equal(vectors().job.state, "cancelled");
  });

  test("what came of it is told in words", async () => {
    await speak("en");
    learn(WORDS);
    const result = { collection: "copy", added: 1, unchanged: 2, without_picture: 3, failed: 0 };
    assert.equal(outcomeOf(job("done", { result }), translator("en")), "copy: 1 added · 2 were there already · 3 without their picture files");
    assert.equal(outcomeOf(job("running"), translator("en")), "");
  });
});

test("a file travels as the body, with its own collection and the admin key; a refusal is one", async () => {
  const sent = [];
  let status = 202;
  globalThis.XMLHttpRequest = class {
    upload = new EventTarget();
    headers = {};
    open(method, url) {
      this.asked = [method, url];
    }
    setRequestHeader(name, value) {
      this.headers[name] = value;
    }
    getResponseHeader() {
      return "7";
    }
    send(body) {
      sent.push([...this.asked, this.headers["x-api-key"], this.headers["content-type"], body.name]);
      this.upload.dispatchEvent(Object.assign(new Event("progress"), { loaded: 4 }));
      this.status = status;
      this.responseText = status < 400 ? '{"job": {"id": "j"}}' : '{"code": "too_many_requests"}';
      queueMicrotask(this.onload);
    }
  };
  const api = new Calls(new Api({ base: "https://a.example", key: (role) => role, collection: () => "birds" }));
  let loaded = 0;
  const options = { onProgress: (bytes) => (loaded = bytes), signal: new AbortController().signal };
  assert.deepEqual(await api.importVectors(new File(["four"], "a b.h5"), "copy", options), { id: "j" });
  assert.deepEqual(sent, [["POST", "https://a.example/import?collection=copy&name=a+b.h5", "admin", "application/x-hdf5", "a b.h5"]]);
  assert.equal(loaded, 4);
  status = 429;
  await assert.rejects(api.importVectors(new File(["four"], "a.h5"), "copy", options), { status: 429, retryAfterS: 7 });
});
