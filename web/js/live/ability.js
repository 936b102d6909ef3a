// @ts-check

/**
 * What a live search can look through here. Browsers lend camera and screen only to pages that came over https or from
 * the same machine, and phones lend no screen.
 * @param {{isSecureContext: boolean, navigator: {mediaDevices?: Partial<MediaDevices>}}} where
 */
export function abilities({ isSecureContext, navigator: { mediaDevices } }) {
  return { isSecure: isSecureContext, camera: !!mediaDevices?.getUserMedia, screen: !!mediaDevices?.getDisplayMedia };
}

/**
 * Shows which of them can be had, and says why not where the page's address is the reason.
 * @param {Document} page
 * @param {ReturnType<typeof abilities>} can
 */
export function offer(page, can) {
  for (const kind of /** @type {const} */ (["camera", "screen"])) {
    const button = /** @type {HTMLButtonElement} */ (page.querySelector(`[data-by="${kind}"]`));
    button.disabled = !can[kind];
    button.hidden = can.isSecure && !can[kind];
  }
  const why = /** @type {HTMLElement} */ (page.getElementById("live-off"));
  why.hidden = can.isSecure;
}
