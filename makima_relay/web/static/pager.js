// Leafs through what is too long for one page.

import { h, show } from "/static/dom.js";
import { number } from "/static/format.js";

/** Draws first, previous, next and last into a node; `go` gets the offset that is wanted. */
export function pager(node, { offset, limit, total }, go) {
  node.hidden = total <= limit && offset === 0;
  const last = Math.max(0, Math.floor((total - 1) / limit) * limit);
  const to = (name, label, wanted) => {
    const isHere = wanted === null;
    const button = h("button", { type: "button", class: "quiet", "aria-label": label, "data-to": name, "aria-disabled": isHere ? "true" : null }, WORDS[name]);
    if (!isHere) button.addEventListener("click", () => go(wanted));
    return button;
  };
  const focused = node.contains(document.activeElement) ? document.activeElement.dataset.to : null;
  show(node, `${offset} ${limit} ${total}`, () => [
    to("first", "First page", offset > 0 ? 0 : null),
    to("previous", "Previous page", offset > 0 ? Math.max(0, offset - limit) : null),
    h("span", { class: "figures" }, total ? `${number(Math.min(offset + 1, total))}–${number(Math.min(offset + limit, total))} of ${number(total)}` : "none"),
    to("next", "Next page", offset + limit < total ? offset + limit : null),
    to("last", "Last page", offset < last ? last : null),
  ]);
  if (focused && !node.contains(document.activeElement)) node.querySelector(`[data-to="${focused}"]`)?.focus();
}

const WORDS = { first: "« First", previous: "‹ Previous", next: "Next ›", last: "Last »" };
