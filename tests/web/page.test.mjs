import assert from "node:assert/strict";
import { readFile, readdir, stat } from "node:fs/promises";
import { test } from "node:test";

const WEB = new URL("../../web/", import.meta.url);

async function files(folder = WEB) {
  const found = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const url = new URL(entry.name + (entry.isDirectory() ? "/" : ""), folder);
    found.push(...(entry.isDirectory() ? await files(url) : [url]));
  }
  return found;
}

test("the page weighs less than 150 KB before pictures", async () => {
  const sizes = await Promise.all((await files()).map(async (file) => (await stat(file)).size));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  assert.ok(total < 150_000, `${total} bytes`);
});

test("no inline script, style or handler, which the Content-Security-Policy would refuse", async () => {
  const html = await readFile(new URL("index.html", WEB), "utf8");
  assert.doesNotMatch(html, /<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|javascript:/i);
});

test("text enters as text, and only api.js speaks to the service", async () => {
  for (const file of (await files()).filter(({ pathname }) => pathname.endsWith(".js"))) {
    const source = await readFile(file, "utf8");
    const name = file.pathname.slice(WEB.pathname.length);
    assert.doesNotMatch(source, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/, name);
    if (name !== "js/api.js") assert.doesNotMatch(source, /\bfetch\(|XMLHttpRequest/, name);
    assert.match(source, /^\/\/ @ts-check\n/, name);
  }
});
