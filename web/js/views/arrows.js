// @ts-check

/**
 * Which of a grid's cards a key leads to.
 * @param {string} key
 * @param {{from: number, count: number, columns: number}} at
 * @returns {number} the same place where there is none in that direction; -1 for any other key
 */
export function placeAfter(key, { from, count, columns }) {
  const places = new Map([
    ["ArrowLeft", from - 1],
    ["ArrowRight", from + 1],
    ["ArrowUp", from - columns],
    ["ArrowDown", from + columns],
    ["Home", 0],
    ["End", count - 1],
  ]);
  const to = places.get(key);
  if (to === undefined) return -1;
  return to >= 0 && to < count ? to : from;
}

/** The arrow keys lead from card to card, by the way that they lie on the screen. @param {HTMLElement} grid */
export function walkable(grid) {
  grid.addEventListener("keydown", (event) => {
    // With a key held the arrows are the browser's: Alt and the left one goes back.
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const cards = /** @type {HTMLElement[]} */ ([...grid.children]);
    const from = cards.findIndex((card) => card.contains(/** @type {Node} */ (event.target)));
    if (from < 0) return;
    const lower = cards.findIndex((card) => card.offsetTop > cards[0].offsetTop);
    const columns = lower < 0 ? cards.length : lower;
    const to = placeAfter(event.key, { from, count: cards.length, columns });
    if (to < 0) return;
    event.preventDefault();
    cards[to].querySelector("button")?.focus();
  });
}
