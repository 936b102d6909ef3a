import assert from "node:assert/strict";
import { test } from "node:test";
import { fieldsOf, linesOf, patchOf } from "../../web/js/manage/fields.js";

test("what is shown of fields is read from it again", () => {
  const fields = {
    camera: "X100", year: 2020, ratio: -1.5, ok: true, no: false, "1": "1", text: "true", quoted: '"x"', spaces: "  a ", "a: b": "c: d",
    " edge ": "", lines: "one\ntwo", 'he said "no"': "null", "__proto__": "p", big: 12345678901234, longer: 1234567890123456, sum: 0.30000000000000004, tiny: 1e-7, zeros: "007", exponent: "1e5", 中文: "猫",
  };
  Object.defineProperty(fields, "__proto__", { value: "p", enumerable: true });
  assert.deepEqual(fieldsOf(linesOf(fields)), { fields, wrong: null });
});

test("lines that say no field are told, and so is a field that is named twice", () => {
  for (const line of ["no colon", ": nameless", '"" : x', '"a: b', "a: 1\na: 2"]) {
    const { wrong } = fieldsOf(`fine: 1\n\n${line}`);
    assert.equal(wrong, line.split("\n").at(-1));
  }
  assert.deepEqual(fieldsOf(" \n\n"), { fields: {}, wrong: null });
  assert.deepEqual(fieldsOf("url: https://a.example/b:c").fields, { url: "https://a.example/b:c" });
});

test("a patch has only what differs, and a null for what went", () => {
  assert.equal(patchOf({ a: 1, b: "x" }, { b: "x", a: 1 }), null);
  assert.deepEqual(patchOf({ a: 1, b: "x", c: true }, { a: "1", c: true, d: 2 }), { a: "1", b: null, d: 2 });
});
