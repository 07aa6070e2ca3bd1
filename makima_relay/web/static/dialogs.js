// Dialogs that ask before something is done, and short messages about what was.

import { byId, h, setText } from "/static/dom.js";
import { Problem } from "/static/relay.js";

/** Opens a dialog; it is gone when it is closed, and the focus is where it was. */
export function open(title, content, buttons, { onClose } = {}) {
  const opener = document.activeElement;
  const heading = h("h2", { id: "dialog-title" }, title);
  const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, heading, content, h("div", { class: "dialog-buttons" }, buttons));
  dialog.addEventListener("close", () => {
    dialog.remove();
    onClose?.();
    if (opener?.isConnected && !opener.closest("[hidden]")) opener.focus();
    else byId("main").focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

const words = (error) => (error instanceof Problem ? error.message : "The relay does not answer. Nothing may have been done.");

/**
 * Asks whether something is to be done, and does it. The dialog stays open while it is done and when it fails.
 * `run` gives a promise; `after` gets what it gave.
 */
export function confirm({ title, text, action, isDangerous = false, run, after }) {
  const trouble = h("p", { class: "error", role: "alert" });
  const cancel = h("button", { type: "button" }, isDangerous ? "Keep it as it is" : "Not now");
  const act = h("button", { type: "button", class: isDangerous ? "danger solid" : "primary" }, action);
  (isDangerous ? cancel : act).setAttribute("autofocus", "");
  const dialog = open(title, [...text.map((each) => (typeof each === "string" ? h("p", {}, each) : each)), trouble], [cancel, act]);
  cancel.addEventListener("click", () => dialog.close());
  act.addEventListener("click", async () => {
    act.disabled = true;
    setText(trouble, "");
    try {
      const given = await run();
      dialog.close();
      after?.(given);
    } catch (error) {
      setText(trouble, words(error));
      act.disabled = false;
      act.focus();
    }
  });
}

export { words as troubleWords };

/** Says something for a few seconds. */
export function toast(text) {
  const node = h("p", { class: "toast" }, text);
  byId("toasts").append(node);
  setTimeout(() => node.remove(), 6000);
}

/** Copies the text of a node; without the right to do so it is selected at least. */
export async function copy(node, button) {
  const text = node.value ?? node.textContent;
  let isDone = false;
  try {
    await navigator.clipboard.writeText(text);
    isDone = true;
  } catch {
    // Over plain HTTP from elsewhere there is no clipboard.
    if (node.select) node.select();
    else getSelection().selectAllChildren(node);
    isDone = document.execCommand("copy");
  }
  const before = button.textContent;
  setText(button, isDone ? "Copied" : "Selected: copy it");
  setTimeout(() => setText(button, before), 2500);
}

/** A command or a key to copy. */
export function copyable(text, label) {
  const code = h("code", { tabindex: "0", "aria-label": label }, text);
  const button = h("button", { type: "button", class: "quiet" }, "Copy");
  button.addEventListener("click", () => copy(code, button));
  return h("div", { class: "copyable" }, code, button);
}
