// Builds elements. Whatever peers said goes in as text nodes and attributes that cannot run, never as markup.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An element with attributes, listeners ("onclick") and children: nodes or texts. */
export const h = (tag, properties, ...children) => fill(document.createElement(tag), properties, children);

/** The same for SVG. */
export const svg = (tag, properties, ...children) => fill(document.createElementNS(SVG, tag), properties, children);

/** Changes a text only if it is another one: what is read aloud or selected stays as it is. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Replaces the children of a node only if what they show has changed, as `key` says. */
export function show(node, key, make) {
  if (node.dataset.shown === key) return;
  node.dataset.shown = key;
  node.replaceChildren(...[make()].flat());
}

const rowsOf = new WeakMap();

/**
 * Makes the children of a node those of a list. A row is `{node, update(item)}`; those that stay are not touched, so
 * focus and selection are kept.
 */
export function keyed(parent, items, keyOf, create) {
  const before = rowsOf.get(parent) ?? new Map();
  const rows = new Map(items.map((item) => [keyOf(item), before.get(keyOf(item)) ?? create(item)]));
  rowsOf.set(parent, rows);
  for (const [key, row] of before) if (!rows.has(key)) row.node.remove();
  for (const item of items) rows.get(keyOf(item)).update(item);
  let place = parent.firstElementChild;
  for (const { node } of rows.values()) {
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
  }
}

/**
 * A table with a caption and headers, which is a list of cards where there is little room. The roles are said again,
 * because a table that is laid out otherwise is none to a screen reader.
 */
export function table(caption, columns) {
  const body = h("tbody", { role: "rowgroup" });
  const heads = columns.map(({ name, hidden, kind }) =>
    h("th", { role: "columnheader", scope: "col", class: kind }, hidden ? h("span", { class: "hidden-text" }, name) : name),
  );
  const node = h(
    "table",
    { role: "table" },
    h("caption", { class: "hidden-text" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)),
    body,
  );
  const cells = () => columns.map(({ name, kind, hidden }) => h("td", { role: "cell", class: kind, "data-label": hidden ? "" : name }));
  return { node, body, cells };
}

let isAsked = false;
const jobs = new Set();

/** Runs a function before the next frame is drawn, once however often it was asked for. */
export function soon(job) {
  jobs.add(job);
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(() => {
    isAsked = false;
    const due = [...jobs];
    jobs.clear();
    for (const each of due) each();
  });
}
