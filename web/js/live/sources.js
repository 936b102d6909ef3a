// @ts-check
/** @import {Crop, LiveKind} from "../types.js" */
/** @import {MessageKey} from "../i18n.js" */
import { el } from "../dom.js";
import { fit } from "./region.js";

/** Larger than the network sees, so that a frozen frame is worth keeping; not faster than can be asked. */
const CAMERA = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 15 } };
const SCREEN = { frameRate: { ideal: 15 } };
const JPEG_QUALITY = 0.85;

/** Something that shows pictures, of which only the newest counts. */
export class Source {
  #ends = new AbortController();
  #file;
  #stream;
  #isFresh = false;
  #wake = () => {};

  /** @param {{stream?: MediaStream, file?: File}} shown a file that loops, or what a camera or the screen sends */
  constructor({ stream, file }) {
    this.#stream = stream ?? null;
    this.#file = file ? URL.createObjectURL(file) : "";
    this.name = file?.name ?? "";
    this.cameraId = stream?.getVideoTracks()[0]?.getSettings().deviceId ?? "";
    this.video = el("video", { playsinline: true, loop: !!file });
    // The attribute alone would not count for an element made by script, and only what is silent may start by itself.
    this.video.muted = true;
    if (stream) this.video.srcObject = stream;
    else this.video.src = this.#file;
    const watch = () => {
      if (this.#ends.signal.aborted) return;
      this.touch();
      if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(watch);
      else requestAnimationFrame(watch);
    };
    watch();
  }

  /** The newest frame is to be asked about, even if it was before. */
  touch() {
    this.#isFresh = true;
    this.#wake();
  }

  /**
   * Resolves when there is a frame that this has not told of.
   * @param {AbortSignal} signal
   */
  async fresh(signal) {
    if (!this.#isFresh) {
      await new Promise((resolve, reject) => {
        this.#wake = () => resolve(null);
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      });
    }
    this.#isFresh = false;
  }

  /**
   * The newest frame as a JPEG.
   * @param {Crop | null} region
   * @param {number} shortest the most pixels that its shortest edge needs
   * @returns {Promise<Blob>}
   */
  async frame(region, shortest) {
    const size = { width: this.video.videoWidth, height: this.video.videoHeight };
    const { from, width, height } = fit(size, region, shortest);
    const canvas = el("canvas", { width, height });
    const context = canvas.getContext("2d");
    if (context) context.imageSmoothingQuality = "medium";
    context?.drawImage(this.video, from.x, from.y, from.width, from.height, 0, 0, width, height);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", JPEG_QUALITY));
    if (!blob) throw new Error("the frame could not be written as a picture");
    return blob;
  }

  /** Plays on after a pause. */
  goOn() {
    // Another pause may overtake it, which rejects it.
    if (this.video.paused) this.video.play().catch(() => this.video.pause());
  }

  pause() {
    this.video.pause();
  }

  /** @param {() => void} listener hears once that the device is gone or no longer shared */
  onLost(listener) {
    const { signal } = this.#ends;
    for (const track of this.#stream?.getTracks() ?? []) track.addEventListener("ended", listener, { once: true, signal });
  }

  /** Lets go of everything: the camera's light goes out. */
  stop() {
    this.#ends.abort();
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.video.pause();
    this.video.srcObject = null;
    this.video.removeAttribute("src");
    if (this.#file) URL.revokeObjectURL(this.#file);
  }
}

/**
 * A source that plays; rejects as the browser does.
 * @param {LiveKind} kind
 * @param {string | File} [given] which camera, or the video file
 */
export async function openSource(kind, given) {
  const source = new Source(await shown(kind, given));
  try {
    await source.video.play();
  } catch (error) {
    source.stop();
    throw error;
  }
  return source;
}

/**
 * @param {LiveKind} kind
 * @param {string | File} [given]
 */
async function shown(kind, given) {
  if (given instanceof File) return { file: given };
  const { mediaDevices } = navigator;
  if (kind === "screen") return { stream: await mediaDevices.getDisplayMedia({ video: SCREEN, audio: false }) };
  const which = given ? { deviceId: { exact: given } } : { facingMode: "environment" };
  return { stream: await mediaDevices.getUserMedia({ video: { ...which, ...CAMERA }, audio: false }) };
}

/** The cameras there are; their names are known once one was allowed. */
export async function listCameras() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter(({ kind }) => kind === "videoinput").map(({ deviceId: id, label }) => ({ id, label }));
}

/**
 * Why a source could not be opened.
 * @param {LiveKind} kind
 * @param {unknown} error
 * @returns {MessageKey}
 */
export function whyNot(kind, error) {
  if (kind === "video") return "live.unplayable";
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return `live.denied.${kind}`;
  if (kind === "screen") return "live.noScreen";
  return name === "NotFoundError" || name === "OverconstrainedError" ? "live.noCamera" : "live.busyCamera";
}
