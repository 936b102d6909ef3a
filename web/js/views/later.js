// @ts-check
/** @import {State, View} from "../types.js" */

const AGAIN_MS = 3_000;
/** That the notice goes is a change of state, and each of those asks again. */
const changes = () => {};

/**
 * A view whose module is fetched when it is first wanted, so that the page opens without its weight.
 * @param {{wanted: (state: State) => boolean, load: () => Promise<View[]>, render: () => void,
 *   missing: (part: unknown, again?: () => void) => void}} parts `missing`: it could not be had, or now it
 *   could; `render`: shows the page anew, as words may have come too
 * @returns {View}
 */
export function later({ wanted, load, render, missing }) {
  /** @type {View[]} */
  let views = [];
  let failedAt = -Infinity;
  let asked = false;
  const fetchViews = async () => {
    try {
      views = await load();
    } catch {
      failedAt = performance.now();
      asked = false;
      missing(load, changes);
      return;
    }
    missing(load);
    render();
  };
  return {
    render(now) {
      for (const view of views) view.render(now);
      if (asked || !wanted(now) || (now.missing && performance.now() - failedAt < AGAIN_MS)) return;
      asked = true;
      void fetchViews();
    },
  };
}
