import assert from "node:assert/strict";
import { test } from "node:test";
import { SessionKey } from "../../web/js/keys.js";

function memoryStorage() {
  const items = new Map();
  return {
    items,
    getItem: (name) => items.get(name) ?? null,
    setItem: (name, value) => items.set(name, value),
    removeItem: (name) => items.delete(name),
  };
}

test("the key is kept for the session and forgotten on request", () => {
  const storage = memoryStorage();
  const key = new SessionKey(() => storage);
  assert.equal(key.get(), null);
  key.set("s3cret");
  assert.equal(new SessionKey(() => storage).get(), "s3cret");
  key.set(null);
  assert.equal(key.get(), null);
  assert.equal(storage.items.size, 0);
});

test("without storage it lives in memory", () => {
  const key = new SessionKey(() => {
    throw new DOMException("denied", "SecurityError");
  });
  key.set("s3cret");
  assert.equal(key.get(), "s3cret");
});
