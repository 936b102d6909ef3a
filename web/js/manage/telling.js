// @ts-check
/** @import {ApiError} from "../api.js" */
/** @import {Translator} from "../i18n.js" */
import { byId } from "../dom.js";
import { errorWords } from "../views/notice.js";

/**
 * Why the service did not do it, in its own words where it has some.
 * @param {ApiError} error
 * @param {Translator} tr
 */
export function reasonOf(error, tr) {
  if (error.code === "no_key") return tr.t("library.locked");
  const { heading, fallback } = errorWords(error);
  const fields = error.errors.map(({ field, reason }) => `${String(field)}: ${String(reason)}`).join("; ");
  return fields || tr.problem(error.code, error.detail) || (fallback ? `${tr.t(heading)}. ${tr.t(fallback)}` : error.title || tr.t(heading));
}

/** To those who do not see the page. @param {string} words */
export function announce(words) {
  byId("live", HTMLElement).textContent = words;
}
