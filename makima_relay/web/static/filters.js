// What is wanted of a long list of tasks: filters as they are typed, and which page, both as the address has them.

import { byId, h } from "/static/dom.js";
import { STATUSES } from "/static/marks.js";
import { pager } from "/static/pager.js";

/** Where rows are cards there are fewer of them. */
const PAGE = matchMedia("(max-width: 640px)").matches ? 10 : 25;
const TYPING = 250;

export class Filters {
  /**
   * A form whose inputs have the ids `prefix` and each of `fields`; they are what `resource` is asked for at `path`.
   * `go` gets what is wanted next, which comes back by `route`.
   */
  constructor({ form, prefix, fields, resource, path, go }) {
    Object.assign(this, { prefix, fields, resource, path, go });
    this.wanted = this.withFields(() => "");
    this.input("status").append(...STATUSES.map((each) => h("option", { value: each }, each)));
    const node = byId(form);
    node.addEventListener("submit", (event) => event.preventDefault());
    node.addEventListener("input", (event) => this.typed(event));
    node.addEventListener("reset", (event) => {
      event.preventDefault();
      this.go(this.withFields(() => ""), true);
      this.input("q").focus();
    });
    resource.path = () => this.question();
  }

  input(field) {
    return byId(`${this.prefix}${field}`);
  }

  withFields(value, offset = 0) {
    return { offset, ...Object.fromEntries(this.fields.map((field) => [field, value(field)])) };
  }

  /** Whether some tasks are left out. */
  get areSet() {
    return this.fields.some((field) => this.wanted[field]);
  }

  question() {
    const query = new URLSearchParams({ limit: PAGE, offset: this.wanted.offset });
    for (const field of this.fields) if (this.wanted[field]) query.set(field, this.wanted[field]);
    return `${this.path}?${query}`;
  }

  typed(event) {
    clearTimeout(this.typing);
    const wanted = this.withFields((field) => this.input(field).value.trim());
    this.typing = setTimeout(() => this.go(wanted, false), event.target.tagName === "SELECT" ? 0 : TYPING);
  }

  /** Shows what the address says. */
  route(query) {
    const offset = Number.parseInt(query.get("offset") ?? "0", 10);
    const wanted = this.withFields((field) => query.get(field) ?? "", offset > 0 ? offset : 0);
    if (!STATUSES.includes(wanted.status)) wanted.status = "";
    for (const field of this.fields) {
      const input = this.input(field);
      if (input.value.trim() !== wanted[field]) input.value = wanted[field];
    }
    const isSame = JSON.stringify(wanted) === JSON.stringify(this.wanted);
    this.wanted = wanted;
    this.input("clear").hidden = !this.areSet;
    if (isSame) return;
    // What is shown stays until the answer is here.
    const shown = this.resource.data;
    this.resource.reset();
    this.resource.data = shown;
  }

  /** Whether the wanted page is behind the last one, as after tasks were pruned while somebody looked; goes to that. */
  isBehindTheLastPage({ tasks, total }) {
    if (tasks.length || !total || this.wanted.offset < total) return false;
    this.go({ ...this.wanted, offset: Math.floor((total - 1) / PAGE) * PAGE }, false);
    return true;
  }

  /** Draws what leads to the other pages. */
  leaf(node, { offset, limit, total }) {
    pager(node, { offset, limit, total }, (wanted) => this.go({ ...this.wanted, offset: wanted }, true));
  }
}
