// @ts-check
/** @import {State, View} from "../types.js" */

const AGAIN_MS = 3_000;

/**
 * A view whose module is fetched when it is first wanted, so that the page opens without its weight.
 * @param {{wanted: (state: State) => boolean, load: () => Promise<View[]>, state: () => State}} parts
 * @returns {View}
 */
export function later({ wanted, load, state }) {
  /** @type {View[]} */
  let views = [];
  let failedAt = -Infinity;
  let asked = false;
  const fetchViews = async () => {
    try {
      views = await load();
    } catch {
      // The service is away, which the notices tell; the next change of state asks again.
      failedAt = performance.now();
      asked = false;
      return;
    }
    for (const view of views) view.render(state());
  };
  return {
    render(now) {
      for (const view of views) view.render(now);
      if (asked || !wanted(now) || performance.now() - failedAt < AGAIN_MS) return;
      asked = true;
      void fetchViews();
    },
  };
}
