import assert from "node:assert/strict";
import { test } from "node:test";
import { CHOSEN, keyName, serversOf } from "../../web/js/servers.js";
import { WORDS } from "../../web/js/views/places.js";

const session = (chosen) => () => ({ getItem: (name) => (name === CHOSEN ? chosen : null) });
const SERVERS = [{ name: "One", base: "https://one.example/" }, { base: "https://two.example" }];

test("an older config.js names one service, as before", () => {
  assert.deepEqual(serversOf({ API_BASE: "https://a.example/" }, session(null)).chosen.base, "https://a.example");
  assert.deepEqual(serversOf({}, session("https://two.example")).servers.map(({ base }) => base), [""]);
});

test("the session's choice holds as long as it is listed", () => {
  assert.equal(serversOf({ SERVERS }, session(null)).chosen.name, "One");
  assert.deepEqual(serversOf({ SERVERS }, session("https://two.example")).chosen, { name: "https://two.example", base: "https://two.example" });
  assert.equal(serversOf({ SERVERS }, session("https://gone.example")).chosen.name, "One");
  const off = () => {
    throw new DOMException("denied", "SecurityError");
  };
  assert.equal(serversOf({ SERVERS }, off).chosen.name, "One");
});

test("each server has keys of its own, and the page's own keeps the names it had", () => {
  assert.equal(keyName("k", { base: "" }), "k");
  assert.notEqual(keyName("k", SERVERS[0]), keyName("k", SERVERS[1]));
});

test("the words of the choice are there in every language", () => {
  assert.deepEqual(Object.keys(WORDS.en), Object.keys(WORDS.zh));
});
