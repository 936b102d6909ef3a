import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";
import { LOCALES, learn, pickLocale, speak, translator } from "../../web/js/i18n.js";
import { MESSAGES as en } from "../../web/js/i18n/en.js";
import { MESSAGES as zh } from "../../web/js/i18n/zh.js";
import { WORDS as LIVE } from "../../web/js/live/words.js";
import { WORDS as SHOWING } from "../../web/js/views/words.js";

const MESSAGES = { en, zh };
await Promise.all(LOCALES.map(speak));
learn(SHOWING);

const WEB = new URL("../../web/", import.meta.url);
const holes = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();

test("every language has the same messages, none empty, with the same holes", () => {
  for (const words of [MESSAGES, SHOWING]) {
    const keys = Object.keys(words.en);
    for (const locale of LOCALES) {
      assert.deepEqual(Object.keys(words[locale]).sort(), [...keys].sort(), locale);
      for (const key of keys) {
        assert.ok(words[locale][key].trim(), `${locale} ${key} is empty`);
        assert.deepEqual(holes(words[locale][key]), holes(words.en[key]), `${locale} ${key}`);
      }
    }
  }
});

test("the messages that index.html names exist, and its English words are theirs", async () => {
  const html = await readFile(new URL("index.html", WEB), "utf8");
  const named = [...html.matchAll(/data-t(?:-label|-holder)?="([^"]+)"/g)].map(([, key]) => key);
  assert.ok(named.length > 10);
  for (const key of named) assert.ok(key in MESSAGES.en, key);
  const written = [
    ...html.matchAll(/data-t="([^"]+)"(?: hidden)?>([^<]+)</g),
    ...html.matchAll(/data-t-(?:label|holder)="([^"]+)" (?:aria-label|placeholder)="([^"]+)"/g),
  ];
  assert.ok(written.length > 40);
  for (const [, key, words] of written) assert.equal(words, MESSAGES.en[key], key);
});

test("no message is left over", async () => {
  const files = [new URL("index.html", WEB)];
  for (const folder of ["js/", "js/views/", "js/live/"]) {
    for (const name of await readdir(new URL(folder, WEB))) {
      if (name.endsWith(".js") && name !== "i18n.js" && name !== "words.js") files.push(new URL(folder + name, WEB));
    }
  }
  const source = (await Promise.all(files.map((file) => readFile(file, "utf8")))).join("\n");
  const built = [/^error\.\d{3}$/, /^status\.(connecting|warming|away)$/, /^(match|collapse)\.\w+$/, /^live\.(denied\.)?(camera|video|screen)$/];
  const unused = [...Object.keys(MESSAGES.en), ...Object.keys(LIVE.en), ...Object.keys(SHOWING.en)].filter(
    (key) => !source.includes(`"${key.replace(/\.(one|other)$/, "")}"`) && !built.some((form) => form.test(key)),
  );
  assert.deepEqual(unused, []);
});

test("the browser's first language that the page speaks wins", () => {
  assert.equal(pickLocale(["zh-Hant-TW", "en"]), "zh");
  assert.equal(pickLocale(["fr-CH", "EN-gb", "zh"]), "en");
  assert.equal(pickLocale(["", "zh"]), "zh");
  assert.equal(pickLocale(["zhx"]), "en");
  assert.equal(pickLocale([]), "en");
});

test("numbers and plurals follow the language", () => {
  assert.equal(translator("en").plural("status.pictures", 1), "1 picture");
  assert.equal(translator("en").plural("status.pictures", 210000), "210,000 pictures");
  assert.equal(translator("zh").plural("status.pictures", 1), "1 张图片");
});

test("what fills a hole is not read as a message again", () => {
  const text = translator("en").t("results.announce", { count: "{name}", name: "$& {score}", score: "0.5" });
  assert.equal(text, "{name}. The first is $& {score}, score 0.5.");
});

test("a name in a sentence is of one line's length, and turns no words behind it", () => {
  const { t } = translator("en");
  assert.equal(t("hint.notPicture", { name: "\u202egpj.exe\u2066" }), "“gpj.exe” is not a picture.");
  const long = t("hint.notPicture", { name: "👩🏽".repeat(3000) });
  assert.ok(long.length < 500);
  assert.ok(long.isWellFormed?.() ?? true, "no character is cut in two");
  assert.match(long, /…” is not a picture\.$/);
});

test("a language that was not fetched is no quiet nothing", () => {
  assert.throws(() => translator("fr"), /fr/);
});
