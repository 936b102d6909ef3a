// @ts-check

/** @typedef {"en" | "zh"} Locale */
/** @typedef {keyof typeof import("./i18n/en.js").MESSAGES | keyof typeof import("./live/words.js").WORDS["en"] | keyof typeof import("./manage/words.js").WORDS["en"] | keyof typeof import("./views/places.js").WORDS["en"] | keyof typeof import("./views/words.js").WORDS["en"]} MessageKey */

/** @type {Locale[]} */
export const LOCALES = ["en", "zh"];

/**
 * The first language of the user's that the page speaks, else English.
 * @param {readonly string[]} preferred BCP 47 tags, best first
 * @returns {Locale}
 */
export function pickLocale(preferred) {
  for (const tag of preferred) {
    const found = LOCALES.find((locale) => tag.toLowerCase().split("-")[0] === locale);
    if (found) return found;
  }
  return "en";
}

/**
 * @typedef {object} Translator
 * @property {Locale} locale
 * @property {(key: MessageKey, params?: Record<string, string | number>) => string} t
 * @property {(stem: PluralStem, n: number) => string} plural
 * @property {(n: number) => string} number
 * @property {(code: string, detail: string) => string} problem what the service says, in this language where it is known
 */

/** @typedef {"results.count" | "results.found" | "result.moreSources" | "status.pictures" | "rows.count" | "add.added" | "add.known" | "add.failed" | "job.failed" | "library.selected" | "sure.many" | "vectors.bare"} PluralStem */

/** @type {Map<Locale, Translator>} */
const translators = new Map();
/** @type {Record<Locale, Record<string, string>>} */
const learned = { en: {}, zh: {} };

/**
 * The words of a part that is fetched when it is first wanted: in every language, so that a switch finds them.
 * @param {Record<Locale, Record<string, string>>} words
 */
export function learn(words) {
  for (const locale of LOCALES) Object.assign(learned[locale], words[locale]);
}

/**
 * Fetches a language's words, so that a page weighs only those that are read; rejects where they cannot be had.
 * @param {Locale} locale
 */
export async function speak(locale) {
  if (translators.has(locale)) return;
  /** @type {{MESSAGES: Record<string, string>}} */
  const { MESSAGES } = await import(`./i18n/${locale}.js`);
  translators.set(locale, made(locale, MESSAGES));
}

/**
 * @param {Locale} locale
 * @returns {Translator} of a language that `speak` has fetched
 */
export function translator(locale) {
  const known = translators.get(locale);
  if (!known) throw new Error(`the words of ${locale} are not there`);
  return known;
}

/** What turns the direction of writing around, and would turn the words behind it too. */
const TURNS = /[\u202a-\u202e\u2066-\u2069]/g;
const LONGEST = 200;

/** A name as a sentence may have it. @param {string} text */
function tamed(text) {
  const plain = text.replace(TURNS, "");
  // By characters, and not by halves of one.
  return plain.length > LONGEST ? `${[...plain.slice(0, 2 * LONGEST)].slice(0, LONGEST).join("")}…` : plain;
}

/**
 * @param {Locale} locale
 * @param {Record<string, string>} messages
 * @returns {Translator}
 */
function made(locale, messages) {
  const rules = new Intl.PluralRules(locale);
  const numbers = new Intl.NumberFormat(locale);
  /** @type {Translator["t"]} */
  const t = (key, params = {}) =>
    (messages[key] ?? learned[locale][key]).replace(/\{(\w+)\}/g, (hole, name) => (name in params ? tamed(String(params[name])) : hole));
  return {
    locale,
    t,
    plural: (stem, n) => t(`${stem}.${rules.select(n) === "one" ? "one" : "other"}`, { n: numbers.format(n) }),
    number: (n) => numbers.format(n),
    problem: (code, detail) => learned[locale][`problem.${code}`] ?? detail,
  };
}

/**
 * Writes the fixed words of the document: `data-t` names an element's text, `data-t-label` its aria-label,
 * `data-t-holder` its placeholder.
 * @param {Document} page
 * @param {Locale} locale
 */
export function translatePage(page, locale) {
  const { t } = translator(locale);
  page.documentElement.lang = locale === "zh" ? "zh-Hans" : "en";
  for (const element of page.querySelectorAll("[data-t]")) {
    element.textContent = t(/** @type {MessageKey} */ (element.getAttribute("data-t")));
  }
  for (const [mark, attribute] of [
    ["data-t-label", "aria-label"],
    ["data-t-holder", "placeholder"],
  ]) {
    for (const element of page.querySelectorAll(`[${mark}]`)) {
      element.setAttribute(attribute, t(/** @type {MessageKey} */ (element.getAttribute(mark))));
    }
  }
}
