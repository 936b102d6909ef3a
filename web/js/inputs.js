// @ts-check
/** @import {Hint, Limits} from "./types.js" */
import { formatBytes } from "./format.js";

/**
 * The pictures among what was dropped or pasted; files of unknown type stay, the service decides about them.
 * @param {Iterable<File>} files
 */
export function pictureFiles(files) {
  return [...files].filter((file) => !file.type || file.type.startsWith("image/"));
}

/**
 * Which file to search with, and what to tell about the choice.
 * @param {Iterable<File>} given
 * @param {Limits | undefined} limits
 * @returns {{file: File | null, hint: Hint | null}}
 */
export function pick(given, limits) {
  const files = [...given];
  const [file] = pictureFiles(files);
  if (!file) {
    const name = files[0]?.name;
    return {
      file: null,
      hint: name ? { key: "hint.notPicture", params: { name }, tone: "error" } : { key: "hint.nothing", tone: "info" },
    };
  }
  if (file.size === 0) return { file: null, hint: { key: "hint.emptyFile", params: { name: file.name }, tone: "error" } };
  const limit = limits?.max_image_bytes;
  if (limit && file.size > limit) {
    const params = { name: file.name, size: formatBytes(file.size), limit: formatBytes(limit) };
    return { file: null, hint: { key: "hint.tooLarge", params, tone: "error" } };
  }
  return { file, hint: files.length > 1 ? { key: "hint.firstOnly", params: { name: file.name }, tone: "info" } : null };
}

/** @param {DataTransfer | null} data */
function carriesFiles(data) {
  return !!data && [...data.types].includes("Files");
}

/**
 * Listens for pictures dropped anywhere, pasted, or chosen with `chooser`.
 * @param {{chooser: HTMLInputElement, onFiles: (files: File[]) => void, onDragging: (dragging: boolean) => void}} parts
 */
export function listen({ chooser, onFiles, onDragging }) {
  chooser.addEventListener("change", () => {
    const files = [...(chooser.files ?? [])];
    // Emptied, so that choosing the same file again is a change again.
    chooser.value = "";
    if (files.length) onFiles(files);
  });

  // enter and leave fire for each element passed over; the depth tells the window's edge.
  let depth = 0;
  window.addEventListener("dragenter", (event) => {
    if (!carriesFiles(event.dataTransfer)) return;
    event.preventDefault();
    depth += 1;
    onDragging(true);
  });
  window.addEventListener("dragleave", (event) => {
    if (!carriesFiles(event.dataTransfer)) return;
    depth = Math.max(0, depth - 1);
    if (depth === 0) onDragging(false);
  });
  window.addEventListener("dragover", (event) => {
    if (!carriesFiles(event.dataTransfer)) return;
    event.preventDefault();
    if (event.dataTransfer) event.dataTransfer.dropEffect = "copy";
  });
  window.addEventListener("drop", (event) => {
    if (!carriesFiles(event.dataTransfer)) return;
    event.preventDefault();
    depth = 0;
    onDragging(false);
    onFiles([...(event.dataTransfer?.files ?? [])]);
  });

  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
    if (typing && !files.length) return;
    event.preventDefault();
    onFiles(files);
  });
}
