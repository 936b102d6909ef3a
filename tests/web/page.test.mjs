import assert from "node:assert/strict";
import { readFile, readdir, stat } from "node:fs/promises";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { LOCALES } from "../../web/js/i18n.js";

const WEB = new URL("../../web/", import.meta.url);

async function files(folder = WEB) {
  const found = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const url = new URL(entry.name + (entry.isDirectory() ? "/" : ""), folder);
    found.push(...(entry.isDirectory() ? await files(url) : [url]));
  }
  return found;
}

/** The files that a browser fetches in a language before anything is asked for: index.html, and what its scripts import. */
async function opening(locale) {
  const html = await readFile(new URL("index.html", WEB), "utf8");
  const wanted = [...html.matchAll(/(?:src|href)="([\w./]+\.\w+)"/g)].map(([, path]) => new URL(path, WEB).href);
  const found = new Set(["index.html", `js/i18n/${locale}.js`].map((name) => new URL(name, WEB).href));
  for (let next = wanted.pop(); next; next = wanted.pop()) {
    if (found.has(next)) continue;
    found.add(next);
    if (!next.endsWith(".js")) continue;
    const source = await readFile(new URL(next), "utf8");
    for (const [, path] of source.matchAll(/^import [^;]*"(\..+?)";/gm)) wanted.push(new URL(path, next).href);
  }
  return [...found].map((url) => new URL(url));
}

test("the page opens with less than 150 KB before pictures, as any server sends it", async () => {
  for (const locale of LOCALES) {
    const sizes = await Promise.all((await opening(locale)).map(async (file) => (await stat(file)).size));
    assert.ok(sizes.length > 20, "the imports are followed");
    const total = sizes.reduce((sum, size) => sum + size, 0);
    assert.ok(total < 150_000, `${total} bytes in ${locale}`);
  }
});

test("all of the page, with every language and view, weighs less than 150 KB as a server that compresses sends it", async () => {
  const sizes = await Promise.all((await files()).map(async (file) => gzipSync(await readFile(file)).length));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  assert.ok(total < 150_000, `${total} bytes`);
});

test("no inline script, style or handler, which the Content-Security-Policy would refuse", async () => {
  const html = await readFile(new URL("index.html", WEB), "utf8");
  assert.doesNotMatch(html, /<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|javascript:/i);
});

test("text enters as text, and only api.js speaks to the service, but for a file that is sent with its progress", async () => {
  for (const file of (await files()).filter(({ pathname }) => pathname.endsWith(".js"))) {
    const source = await readFile(file, "utf8");
    const name = file.pathname.slice(WEB.pathname.length);
    assert.doesNotMatch(source, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/, name);
    if (name !== "js/api.js" && name !== "js/manage/sending.js") assert.doesNotMatch(source, /\bfetch\(|XMLHttpRequest/, name);
    assert.match(source, /^\/\/ @ts-check\n/, name);
  }
});
