// @ts-check
/** @import {FileQuery, View} from "../types.js" */
/** @import {QueryActions} from "./query.js" */
/** @import {ResultsActions} from "./results.js" */
import { learn } from "../i18n.js";
import { QueryView } from "./query.js";
import { ResultsView } from "./results.js";
import { RowsView } from "./rows.js";
import { PROBLEMS, WORDS } from "./words.js";

learn(WORDS);
learn(PROBLEMS);

/**
 * The views of a search under way: what is asked with, and what was found.
 * @param {{base: string, actions: QueryActions & ResultsActions & {only: (query: FileQuery) => void}}} parts
 * @returns {View[]}
 */
export function workViews(parts) {
  return [new QueryView(parts), new ResultsView(parts), new RowsView(parts)];
}
