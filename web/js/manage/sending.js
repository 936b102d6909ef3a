// @ts-check
/** @import {Api} from "../api.js" */
import { ApiError, heard, parsed, problemOf } from "../api.js";

/**
 * Sends a file as a request's body, with the admin key, and tells how much of it has gone, which fetch cannot.
 * @param {Api} api
 * @param {string} path
 * @param {File} file
 * @param {{type: string, onProgress: (sentBytes: number) => void, signal: AbortSignal}} options
 * @returns {Promise<unknown>} what the service answers; rejects as `Api.call` does
 */
export async function sendFile(api, path, file, { type, onProgress, signal }) {
  signal.throwIfAborted();
  const { url, headers } = api.prepared(path, { "Content-Type": type }, "admin");
  const request = new XMLHttpRequest();
  request.open("POST", url);
  headers.forEach((value, name) => request.setRequestHeader(name, value));
  request.upload.addEventListener("progress", ({ loaded }) => onProgress(loaded));
  const stop = () => request.abort();
  signal.addEventListener("abort", stop);
  try {
    await heard(() => ended(request, file), signal);
  } finally {
    signal.removeEventListener("abort", stop);
  }
  const { status } = request;
  const body = parsed(request.responseText);
  if (status >= 400) {
    throw problemOf({ status, headers: new Headers({ "Retry-After": request.getResponseHeader("Retry-After") ?? "" }) }, body);
  }
  if (body === undefined) throw new ApiError({ status, code: "not_json" });
  return body;
}

/**
 * @param {XMLHttpRequest} request
 * @param {File} file
 */
function ended(request, file) {
  return new Promise((resolve, reject) => {
    request.onload = resolve;
    request.onerror = request.onabort = reject;
    request.send(file);
  });
}
