// @ts-check
import { byId } from "../dom.js";
import { addressIn } from "../inputs.js";

/** The dialog that asks for a picture's address. */
export class AddressView {
  #dialog = byId("address", HTMLDialogElement);
  #input = byId("address-url", HTMLInputElement);

  /** @param {{actions: {go: (url: string) => void}}} parts */
  constructor({ actions }) {
    this.#dialog.addEventListener("close", () => {
      const url = addressIn(this.#input.value);
      if (this.#dialog.returnValue === "go" && url) actions.go(url);
    });
  }

  open() {
    this.#input.value = "";
    this.#dialog.returnValue = "";
    this.#dialog.showModal();
  }
}
