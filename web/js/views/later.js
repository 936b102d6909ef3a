// @ts-check
/** @import {State, View} from "../types.js" */

const AGAIN_MS = 3_000;

/**
 * A view whose module is fetched when it is first wanted, so that the page opens without its weight.
 * @param {{wanted: (state: State) => boolean, load: () => Promise<View[]>, state: () => State,
 *   missing: (again: State["missing"]) => void}} parts `missing`: it could not be had; null: now it could
 * @returns {View}
 */
export function later({ wanted, load, state, missing }) {
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
      // The next change of state asks again, at once where the notice of this is gone.
      missing(() => {});
      return;
    }
    if (failedAt > 0) missing(null);
    for (const view of views) view.render(state());
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
