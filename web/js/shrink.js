// @ts-check

const LONGEST_EDGE_PX = 1600;
const JPEG_QUALITY = 0.9;

/**
 * The picture with its longest edge at most 1,600 px, as a JPEG; the same file where it is smaller, or where the
 * browser cannot read it: the service may.
 * @param {Blob & {name?: string}} file
 * @param {number} [edge]
 * @returns {Promise<Blob & {name?: string}>}
 */
export async function shrink(file, edge = LONGEST_EDGE_PX) {
  if (typeof OffscreenCanvas === "undefined") return file;
  /** @type {ImageBitmap} */
  let picture;
  try {
    picture = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    return file;
  }
  try {
    const scale = edge / Math.max(picture.width, picture.height);
    if (scale >= 1) return file;
    const width = Math.max(1, Math.round(picture.width * scale));
    const height = Math.max(1, Math.round(picture.height * scale));
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d");
    if (!context) return file;
    // What shines through is white, as for the service.
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, 0, 0, width, height);
    const small = await canvas.convertToBlob({ type: "image/jpeg", quality: JPEG_QUALITY });
    return new File([small], file.name ?? "", { type: small.type });
  } finally {
    picture.close();
  }
}
