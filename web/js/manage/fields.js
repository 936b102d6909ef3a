// @ts-check
/** @import {Fields} from "./calls.js" */

/**
 * Fields as lines, one `name: value` each. Texts that would be read as something else stand in quotation marks.
 * @param {Fields} fields
 */
export function linesOf(fields) {
  return Object.entries(fields)
    .map(([name, value]) => {
      const shown = typeof value === "string" ? quoted(value, value.trim() !== value || valueOf(value) !== value) : String(value);
      return `${quoted(name, /[:"]/.test(name) || name !== name.trim())}: ${shown}`;
    })
    .join("\n");
}

/**
 * The fields that lines say, and the first line that says none.
 * @param {string} lines
 * @returns {{fields: Fields, wrong: string | null}}
 */
export function fieldsOf(lines) {
  /** @type {Map<string, Fields[string]>} */
  const fields = new Map();
  for (const line of lines.split("\n").map((one) => one.trim()).filter(Boolean)) {
    const [, name, value] = /^("(?:[^"\\]|\\.)*"|[^:"][^:]*):(.*)$/.exec(line) ?? [];
    const read = name && valueOf(name.trim(), true);
    if (!name || typeof read !== "string" || !read || fields.has(read)) return { fields: {}, wrong: line };
    fields.set(read, valueOf(value.trim()));
  }
  return { fields: Object.fromEntries(fields), wrong: null };
}

/**
 * What makes `after` of `before` (RFC 7396): a null takes a field away.
 * @param {Fields} before
 * @param {Fields} after
 * @returns {Fields | null} null where they are the same
 */
export function patchOf(before, after) {
  const gone = Object.keys(before).filter((name) => !Object.hasOwn(after, name));
  const other = Object.entries(after).filter(([name, value]) => !Object.hasOwn(before, name) || before[name] !== value);
  /** @type {[string, Fields[string]][]} */
  const patch = [...gone.map((name) => /** @type {[string, null]} */ ([name, null])), ...other];
  return patch.length ? Object.fromEntries(patch) : null;
}

/** @param {string} text @param {boolean} wanted */
function quoted(text, wanted) {
  return wanted || /[\n\r]/.test(text) ? JSON.stringify(text) : text;
}

/**
 * @param {string} text
 * @param {boolean} [isName] a text whatever it looks like, but for its quotation marks
 */
function valueOf(text, isName = false) {
  if (/^".*"$/.test(text)) {
    try {
      return /** @type {string} */ (JSON.parse(text));
    } catch {
      return text;
    }
  }
  if (isName) return text;
  if (text === "true" || text === "false") return text === "true";
  if (text === "null") return null;
  const number = Number(text);
  return Number.isFinite(number) && String(number) === text ? number : text;
}
