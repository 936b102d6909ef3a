// @ts-check

/** @typedef {{name: string, base: string}} Server base: its address without a slash at its end, "" where the page comes from */

export const CHOSEN = "image-search.server";

/**
 * The services that the page may speak to, and the one that this session chose: the first where none is chosen, or the
 * chosen one is listed no more.
 * @param {{API_BASE?: string, SERVERS?: readonly {name?: string, base?: string}[]}} config
 * @param {() => Storage} storage may throw: browsers do where storage is switched off
 * @returns {{servers: Server[], chosen: Server}}
 */
export function serversOf({ API_BASE = "", SERVERS = [] }, storage) {
  const listed = SERVERS.length ? SERVERS : [{ base: API_BASE }];
  const servers = listed.map(({ name = "", base = "" }) => ({ name: name || base || "·", base: base.replace(/\/+$/, "") }));
  let wanted = null;
  try {
    wanted = storage().getItem(CHOSEN);
  } catch {
    // The choice then lasts until the page is left.
  }
  return { servers, chosen: servers.find(({ base }) => base === wanted) ?? servers[0] };
}

/**
 * Where a server's key is kept: what is given to one is never shown to another.
 * @param {string} name
 * @param {Server} server
 */
export function keyName(name, { base }) {
  return base ? `${name}@${base}` : name;
}
