// @ts-check
/** @import {Locale} from "./i18n.js" */

const LOCALE_KEY = "image-search.locale";

/** @returns {string} "" where none was chosen, or where the browser forbids storage */
export function rememberedLocale() {
  try {
    return localStorage.getItem(LOCALE_KEY) ?? "";
  } catch {
    return "";
  }
}

/** @param {Locale} locale */
export function rememberLocale(locale) {
  try {
    localStorage.setItem(LOCALE_KEY, locale);
  } catch {
    // The choice then holds until the page is closed.
  }
}
