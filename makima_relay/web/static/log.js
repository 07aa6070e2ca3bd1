// The log: what happened to connections. A few of the latest on the overview, all that are kept on a page of their own.

import { byId, h, keyed, setText, show, table } from "/static/dom.js";
import { ago, clock, fullTime, hostOf, millis } from "/static/format.js";
import { eventMark } from "/static/marks.js";
import { now } from "/static/relay.js";
import { taskLink } from "/static/tasks.js";

const MOST = 200;
const RECENT = 12;
const SHOWN_OTHERWISE = new Set(["id", "timestamp", "event", "detail"]);

export class Log {
  constructor(resource, changed) {
    this.resource = resource;
    this.changed = changed;
    this.table = table("Events of the connections, newest first", [
      { name: "Time", kind: "figures" },
      { name: "Event" },
      { name: "What happened", kind: "wide" },
    ]);
    this.recent = h("ol", { class: "events" });
    for (const id of ["log-event", "log-text"]) byId(id).addEventListener("input", changed);
    byId("log-filters").addEventListener("submit", (event) => event.preventDefault());
  }

  heard(entry) {
    const logs = this.resource.data?.logs;
    if (!logs || !entry || logs.some((each) => each.id === entry.id)) return;
    logs.unshift(entry);
    logs.length = Math.min(logs.length, MOST);
    this.changed();
  }

  renderRecent() {
    const logs = this.resource.data?.logs;
    if (!logs) return;
    show(byId("recent"), logs.length ? "list" : "none", () => (logs.length ? this.recent : h("p", { class: "empty" }, "Nothing has happened yet.")));
    keyed(this.recent, logs.slice(0, RECENT), (each) => each.id, (entry) => {
      const time = h("time", { class: "muted small figures", datetime: entry.timestamp, title: fullTime(entry.timestamp) });
      const node = h("li", {}, h("span", { class: "event-head" }, eventMark(entry.event), time), h("span", { class: "detail" }, whose(entry), entry.detail));
      return { node, update: () => setText(time, ago(now() - millis(entry.timestamp))) };
    });
  }

  render() {
    const logs = this.resource.data?.logs;
    if (!logs) return;
    const kinds = [...new Set(logs.map((each) => each.event))].sort();
    const event = byId("log-event").value;
    if (event && !kinds.includes(event)) kinds.push(event);
    show(byId("log-event"), kinds.join(" "), () => [
      h("option", { value: "" }, "any"),
      ...kinds.map((each) => h("option", { value: each, selected: each === event }, each.replaceAll("_", " "))),
    ]);
    const text = byId("log-text").value.trim().toLowerCase();
    const found = logs.filter((each) => (!event || each.event === event) && (!text || JSON.stringify(each).toLowerCase().includes(text)));
    show(byId("log"), found.length ? "table" : "none", () => (found.length ? this.table.node : h("p", { class: "empty" }, "No event is like that.")));
    keyed(this.table.body, found, (each) => each.id, (entry) => this.row(entry));
  }

  row(entry) {
    const cells = this.table.cells();
    cells[0].append(h("time", { datetime: entry.timestamp, title: fullTime(entry.timestamp) }, clock(entry.timestamp)));
    cells[1].append(eventMark(entry.event));
    cells[2].append(entry.detail, h("span", { class: "muted small sub" }, fields(entry)));
    return { node: h("tr", { role: "row" }, cells), update() {} };
  }
}

/** Which daemon, relay or key it is about; where nobody knows that, from where it came. */
function whose({ hostname, agentName, key, address }) {
  const who = hostname ?? agentName ?? key ?? hostOf(address);
  return who ? [h("span", { class: "name" }, who), " · "] : [];
}

function fields(entry) {
  const given = Object.entries(entry).filter(([name, value]) => !SHOWN_OTHERWISE.has(name) && value !== null);
  return given.flatMap(([name, value], place) => [
    place ? " · " : "",
    `${name} `,
    name === "taskId" ? h("a", { href: taskLink(String(value)) }, String(value)) : String(value),
  ]);
}
