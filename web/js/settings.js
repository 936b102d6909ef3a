// @ts-check

/** @typedef {"locale" | "thumb"} Setting */

/**
 * @param {Setting} name
 * @returns {string} "" where none was chosen, or where the browser forbids storage
 */
export function remembered(name) {
  try {
    return localStorage.getItem(`image-search.${name}`) ?? "";
  } catch {
    return "";
  }
}

/**
 * @param {Setting} name
 * @param {string} value
 */
export function remember(name, value) {
  try {
    localStorage.setItem(`image-search.${name}`, value);
  } catch {
    // The choice then holds until the page is closed.
  }
}
