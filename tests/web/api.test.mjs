import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { Api, ApiError, isAbort } from "../../web/js/api.js";

const realFetch = globalThis.fetch;
afterEach(() => {
  globalThis.fetch = realFetch;
});

/** Answers each request with `respond`, and keeps what was asked. */
function stubFetch(respond) {
  const asked = [];
  globalThis.fetch = async (url, init) => {
    asked.push({ url, ...init });
    return respond(asked.at(-1));
  };
  return asked;
}

const json = (body, init = {}) =>
  new Response(JSON.stringify(body), { headers: { "Content-Type": "application/json" }, ...init });
const problem = (status, body, headers = {}) =>
  new Response(JSON.stringify({ status, ...body }), {
    status,
    headers: { "Content-Type": "application/problem+json", ...headers },
  });
const open = (base = "") => new Api({ base, key: () => null });
const PARAMS = { top_k: 20, offset: 0 };

test("a file travels as multipart: the picture, and params as one JSON part", async () => {
  const asked = stubFetch(() => json({ ok: true, results: [] }));
  const { body, roundTripMs } = await open().search(PARAMS, { file: new Blob(["bytes"], { type: "image/png" }), name: "a.png" });
  assert.deepEqual(body.results, []);
  assert.ok(roundTripMs >= 0);
  assert.equal(asked[0].url, "/search");
  assert.equal(asked[0].method, "POST");
  const form = asked[0].body;
  assert.equal(form.get("image").name, "a.png");
  assert.equal(await form.get("image").text(), "bytes");
  assert.deepEqual(JSON.parse(form.get("params")), PARAMS);
  // The browser must write the boundary itself.
  assert.equal(asked[0].headers.get("Content-Type"), null);
});

test("a raw file travels as it is, with scalars in the address; what does not fit there makes it a form", async () => {
  const asked = stubFetch(() => json({ ok: true, results: [] }));
  const file = new Blob(["bytes"], { type: "image/jpeg" });
  await open().search({ ...PARAMS, text: "a&b" }, { file, raw: true });
  assert.equal(asked[0].url, "/search?top_k=20&offset=0&text=a%26b");
  assert.equal(asked[0].headers.get("Content-Type"), "image/jpeg");
  assert.equal(asked[0].body, file);
  await open().search({ ...PARAMS, filter: { width: { gte: 5 } } }, { file, raw: true });
  assert.equal(asked[1].url, "/search");
  assert.ok(asked[1].body instanceof FormData);
});

test("what needs no bytes travels as JSON", async () => {
  const asked = stubFetch(() => json({ ok: true, results: [] }));
  await open().search({ image_id: "f".repeat(64), top_k: 5, offset: 10 });
  assert.equal(asked[0].headers.get("Content-Type"), "application/json");
  assert.deepEqual(JSON.parse(asked[0].body), { image_id: "f".repeat(64), top_k: 5, offset: 10 });
});

test("the base address is put before each path, with or without its slash", async () => {
  const asked = stubFetch(() => json({ ok: true }));
  await open("https://images.example.org/api/").status();
  await open("https://images.example.org/api").ready();
  assert.deepEqual(asked.map(({ url }) => url), [
    "https://images.example.org/api/status",
    "https://images.example.org/api/readyz",
  ]);
});

test("the key is asked anew for each search and sent as X-API-Key, never with cookies", async () => {
  const asked = stubFetch(() => json({ ok: true }));
  let key = null;
  const api = new Api({ base: "", key: () => key });
  await api.search(PARAMS);
  key = "s3cret";
  await api.search(PARAMS);
  await api.status();
  await api.ready();
  assert.deepEqual(asked.map(({ headers }) => headers.get("X-API-Key")), [null, "s3cret", null, null]);
  assert.ok(asked.every(({ credentials }) => credentials === "omit"));
});

test("a key that no header can carry is a refused key", async () => {
  const asked = stubFetch(() => json({ ok: true }));
  await assert.rejects(new Api({ base: "", key: () => "密钥" }).search(PARAMS), ({ status }) => status === 401);
  assert.equal(asked.length, 0);
});

test("a problem becomes an ApiError with all that it says", async () => {
  const errors = [{ field: "image", reason: "truncated" }];
  stubFetch(() =>
    problem(422, { title: "Unprocessable", detail: "The JPEG ends early.", code: "invalid_image", errors, request_id: "r1" }),
  );
  await assert.rejects(open().search(PARAMS), (error) => {
    assert.ok(error instanceof ApiError);
    assert.equal(error.status, 422);
    assert.equal(error.code, "invalid_image");
    assert.equal(error.detail, "The JPEG ends early.");
    assert.deepEqual(error.errors, errors);
    assert.equal(error.requestId, "r1");
    assert.equal(error.isAway, false);
    return true;
  });
});

test("Retry-After is read in seconds; a date or nonsense is no number", async () => {
  for (const [header, expected] of [["7", 7], ["0", 0], ["soon", null], ["-3", null], [undefined, null]]) {
    stubFetch(() => problem(503, {}, header === undefined ? {} : { "Retry-After": header }));
    await assert.rejects(open().ready(), ({ retryAfterS, isAway }) => retryAfterS === expected && isAway);
  }
});

test("an error without a problem body, as a proxy gives it, still tells its status", async () => {
  stubFetch(() => new Response("<html>Bad gateway</html>", { status: 502 }));
  await assert.rejects(open().status(), ({ status, code, detail, isAway }) => {
    assert.deepEqual({ status, code, detail, isAway }, { status: 502, code: "http_502", detail: "", isAway: true });
    return true;
  });
});

test("a 200 that is not JSON is an error, not an answer", async () => {
  stubFetch(() => new Response("<html>hello</html>"));
  await assert.rejects(open().status(), ({ code }) => code === "not_json");
});

test("/readyz may answer with any body", async () => {
  stubFetch(() => new Response("ready"));
  await open().ready();
});

test("no connection is an ApiError with status 0", async () => {
  stubFetch(() => {
    throw new TypeError("Failed to fetch");
  });
  await assert.rejects(open().status(), (error) => error instanceof ApiError && error.status === 0 && error.isAway);
});

test("an abort stays an abort, also while the body arrives; a timeout is the service's silence", async () => {
  for (const stage of ["headers", "body"]) {
    const failing = (signal) =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
    globalThis.fetch = (_, { signal }) =>
      stage === "headers" ? failing(signal) : Promise.resolve({ ok: true, headers: new Headers(), text: () => failing(signal) });

    const stopped = new AbortController();
    const search = open().search(PARAMS, { signal: stopped.signal });
    setImmediate(() => stopped.abort());
    await assert.rejects(search, isAbort, stage);

    const late = new AbortController();
    const status = open().status({ signal: late.signal });
    setImmediate(() => late.abort(new DOMException("", "TimeoutError")));
    await assert.rejects(status, ({ code, status }) => code === "timeout" && status === 0, stage);
  }
});

test("an address that the service could not fetch is no absence of the service", async () => {
  stubFetch(() => problem(502, { code: "url_fetch_failed" }));
  await assert.rejects(open().search(PARAMS), ({ status, isAway }) => status === 502 && !isAway);
});

test("a stored picture's bytes come by their signed address, without the key", async () => {
  const asked = stubFetch(() => new Response("bytes"));
  const api = new Api({ base: "https://a.example", key: () => "s3cret" });
  assert.equal(await (await api.bytes("https://a.example/images/1/file?sig=x")).text(), "bytes");
  assert.equal(asked[0].headers, undefined);
  stubFetch(() => problem(404, {}));
  await assert.rejects(api.bytes("https://a.example/x"), ({ status }) => status === 404);
});

test("a picture by its id, and one at random", async () => {
  const asked = stubFetch(({ url }) => json(url.endsWith("random") ? { ok: true, images: [{ id: "r" }] } : { ok: true, id: "i" }));
  assert.equal((await open().image("../x")).id, "i");
  assert.deepEqual(await open().random(), [{ id: "r" }]);
  assert.deepEqual(asked.map(({ url }) => url), ["/images/..%2Fx", "/images/random"]);
});
