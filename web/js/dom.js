// @ts-check

/**
 * The page's element with this id; throws where index.html and the scripts disagree.
 * @template {Element} T
 * @param {string} id
 * @param {new (...args: any[]) => T} kind
 * @returns {T}
 */
export function byId(id, kind) {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`index.html has no ${kind.name} #${id}`);
  return element;
}

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * A new element. Text enters as text nodes, properties as attributes; `on` holds its listeners.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | number | boolean | null | undefined>} [attributes] false, null, undefined leave it out
 * @param {Child | Child[]} [children]
 * @param {Record<string, (event: Event) => void>} [on]
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, attributes = {}, children = [], on = {}) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of Array.isArray(children) ? children : [children]) {
    if (child) element.append(child);
  }
  for (const [type, listener] of Object.entries(on)) element.addEventListener(type, listener);
  return element;
}

/**
 * A symbol of the sprite in index.html, hidden from screen readers: the words beside it speak.
 * @param {string} name
 */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  // Its strokes and not a <use> of them, each of which the browser makes a tree of its own for: a third of the time that
  // a grid of fifty cards took.
  const symbol = byId(`i-${name}`, SVGSymbolElement);
  svg.setAttribute("viewBox", symbol.getAttribute("viewBox") ?? "");
  for (const stroke of symbol.children) svg.append(stroke.cloneNode());
  return svg;
}

/** @type {Map<string, Promise<unknown>>} */
const styles = new Map();

/**
 * Resolves when a style is there, so that nothing is shown without it; rejects where it cannot be had.
 * @param {string} href
 */
export function styled(href) {
  const known = styles.get(href);
  if (known) return known;
  const there = new Promise((resolve, reject) => {
    const link = el("link", { rel: "stylesheet", href }, [], {
      load: resolve,
      error: (event) => {
        link.remove();
        styles.delete(href);
        reject(event);
      },
    });
    document.head.append(link);
  });
  styles.set(href, there);
  return there;
}

/**
 * Puts a picture's place-holder where the browser cannot show it (TIFF, or a file gone meanwhile).
 * @param {HTMLImageElement} image
 * @param {string} label
 */
export function replaceWhenBroken(image, label) {
  image.addEventListener("error", () => {
    image.replaceWith(el("span", { class: "broken", role: "img", "aria-label": label, title: label }, icon("picture")));
  });
}

/**
 * Whether any of the values differs from the last call: views skip what did not change.
 * @returns {(...values: unknown[]) => boolean}
 */
export function changes() {
  /** @type {unknown[] | null} */
  let before = null;
  return (...values) => {
    const same = before !== null && before.length === values.length && values.every((v, i) => Object.is(v, before?.[i]));
    before = values;
    return !same;
  };
}
