// @ts-check
/** @import {Hint, Limits} from "./types.js" */
import { formatBytes, safeUrl } from "./format.js";

const MOST_AT_ONCE = 32;

/**
 * The pictures among what was dropped or pasted; files of unknown type stay, the service decides about them.
 * @param {Iterable<File>} files
 */
export function pictureFiles(files) {
  return [...files].filter((file) => !file.type || file.type.startsWith("image/"));
}

/**
 * Which files to search with, and what to tell about the rest.
 * @param {Iterable<File>} given
 * @param {Limits | undefined} limits
 * @returns {{files: File[], hint: Hint | null}}
 */
export function pick(given, limits) {
  const all = [...given];
  const pictures = pictureFiles(all);
  const files = pictures.filter((file) => file.size > 0).slice(0, limits?.max_queries ?? MOST_AT_ONCE);
  const name = all[0]?.name ?? "";
  if (!all.length) return { files, hint: { key: "hint.nothing", tone: "info" } };
  if (!pictures.length) return { files, hint: { key: "hint.notPicture", params: { name }, tone: "error" } };
  if (!files.length) return { files, hint: { key: "hint.emptyFile", params: { name: pictures[0].name }, tone: "error" } };
  const left = all.length - files.length;
  return { files, hint: left ? { key: "hint.leftOut", params: { n: left }, tone: "info" } : null };
}

/**
 * Why this file cannot be sent; null where it can.
 * @param {Blob & {name?: string}} file
 * @param {Limits | undefined} limits
 * @returns {Hint | null}
 */
export function tooLarge(file, limits) {
  const limit = limits?.max_image_bytes;
  if (!limit || file.size <= limit) return null;
  const params = { name: file.name ?? "", size: formatBytes(file.size), limit: formatBytes(limit) };
  return { key: "hint.tooLarge", params, tone: "error" };
}

/**
 * The address in a text that is nothing but one.
 * @param {string} text
 * @returns {string | null}
 */
export function addressIn(text) {
  const word = text.trim();
  return /^https?:\/\/\S+$/i.test(word) && word.length <= 2048 ? safeUrl(word, word) : null;
}

/**
 * Listens for pictures dropped anywhere, pasted, or chosen with `chooser`.
 * @param {{chooser: HTMLInputElement, onFiles: (files: File[]) => void, onAddress: (url: string) => void,
 *   onDragging: (dragging: boolean) => void}} parts
 */
export function listen({ chooser, onFiles, onAddress, onDragging }) {
  /** @param {DataTransfer | null} data */
  const take = (data) => {
    const files = [...(data?.files ?? [])];
    const address = addressIn(data?.getData("text/uri-list") || data?.getData("text/plain") || "");
    if (address && !files.length) onAddress(address);
    else onFiles(files);
  };

  chooser.addEventListener("change", () => {
    const files = [...(chooser.files ?? [])];
    // Emptied, so that choosing the same file again is a change again.
    chooser.value = "";
    if (files.length) onFiles(files);
  });

  // What is dragged from this page itself is not meant for it.
  let isOwn = false;
  window.addEventListener("dragstart", () => (isOwn = true));
  window.addEventListener("dragend", () => (isOwn = false));
  /** @param {DataTransfer | null} data a picture dragged from another page comes as its address */
  const carriesPictures = (data) =>
    !isOwn && !!data && (data.types.includes("Files") || data.types.includes("text/uri-list"));

  // enter and leave fire for each element passed over; the depth tells the window's edge.
  let depth = 0;
  window.addEventListener("dragenter", (event) => {
    if (!carriesPictures(event.dataTransfer)) return;
    event.preventDefault();
    depth += 1;
    onDragging(true);
  });
  window.addEventListener("dragleave", (event) => {
    if (!carriesPictures(event.dataTransfer)) return;
    depth = Math.max(0, depth - 1);
    if (depth === 0) onDragging(false);
  });
  window.addEventListener("dragover", (event) => {
    if (!carriesPictures(event.dataTransfer)) return;
    event.preventDefault();
    if (event.dataTransfer) event.dataTransfer.dropEffect = "copy";
  });
  window.addEventListener("drop", (event) => {
    if (!carriesPictures(event.dataTransfer)) return;
    event.preventDefault();
    depth = 0;
    onDragging(false);
    take(event.dataTransfer);
  });

  document.addEventListener("paste", (event) => {
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
    if (typing && !event.clipboardData?.files.length) return;
    event.preventDefault();
    take(event.clipboardData);
  });
}
