// The fleet: who is connected, how busy and how well.

import { confirm, copyable, toast } from "/static/dialogs.js";
import { byId, h, keyed, setText, show, table } from "/static/dom.js";
import { ago, fullTime, hostOf, millis, number, plural } from "/static/format.js";
import { badge } from "/static/marks.js";
import { pager } from "/static/pager.js";
import { ask, now } from "/static/relay.js";

const PAGE = 12;
/** With no more daemons than this there is nothing to search. */
const FEW = 6;
/** Slots are drawn one by one up to this number. */
const MOST_SEGMENTS = 16;
/** Daemons say something twice as often as this, in ms. */
const QUIET = 60_000;
const NAMES = new Intl.Collator("en", { numeric: true });

const stateOf = (daemon) => (!daemon.healthy ? "silent" : daemon.draining ? "draining" : "healthy");
const RANK = { silent: 0, draining: 1, healthy: 2 };
const byName = (one, other) => NAMES.compare(one.hostname, other.hostname) || NAMES.compare(one.daemonId, other.daemonId);
const load = (daemon) => daemon.activeTasks / Math.max(1, daemon.maxConcurrentTasks);
const ORDERS = {
  name: byName,
  busy: (one, other) => load(other) - load(one) || byName(one, other),
  state: (one, other) => RANK[stateOf(one)] - RANK[stateOf(other)] || byName(one, other),
};

export class Fleet {
  constructor(resource, changed) {
    this.resource = resource;
    this.offset = 0;
    this.table = table("Connected daemons", [
      { name: "Daemon", kind: "wide" },
      { name: "Slots" },
      { name: "State" },
      { name: "Action", hidden: true, kind: "action" },
    ]);
    for (const id of ["fleet-text", "fleet-order"])
      byId(id).addEventListener("input", () => {
        this.offset = 0;
        changed();
      });
    byId("fleet-filters").addEventListener("submit", (event) => event.preventDefault());
    this.changed = changed;
  }

  /** A daemon has changed, or gone. */
  heard(daemon) {
    const data = this.resource.data;
    if (data === null || !daemon) return;
    const place = data.daemons.findIndex((each) => each.daemonId === daemon.daemonId);
    if (daemon.connected === false) {
      if (place >= 0) data.daemons.splice(place, 1);
    } else if (place >= 0) data.daemons[place] = daemon;
    else data.daemons.push(daemon);
    this.changed();
  }

  render() {
    const data = this.resource.data;
    if (data === null) return;
    const all = data.daemons;
    byId("fleet-filters").hidden = all.length <= FEW;
    if (!all.length) {
      show(byId("fleet"), "empty", howToConnect);
      pager(byId("fleet-pager"), { offset: 0, limit: PAGE, total: 0 }, () => {});
      return;
    }
    const text = all.length > FEW ? byId("fleet-text").value.trim().toLowerCase() : "";
    const found = text ? all.filter((each) => isMeant(each, text)) : [...all];
    found.sort(ORDERS[byId("fleet-order").value] ?? byName);
    this.offset = Math.min(this.offset, Math.max(0, Math.floor((found.length - 1) / PAGE) * PAGE));
    this.renderPage(found);
    hostnames(all);
  }

  renderPage(found) {
    show(byId("fleet"), found.length ? "table" : "none", () =>
      found.length ? this.table.node : h("p", { class: "empty" }, "No daemon is called so."),
    );
    const page = found.slice(this.offset, this.offset + PAGE);
    keyed(this.table.body, page, (each) => each.daemonId, (each) => this.row(each));
    pager(byId("fleet-pager"), { offset: this.offset, limit: PAGE, total: found.length }, (offset) => {
      this.offset = offset;
      this.changed();
    });
  }

  row({ daemonId }) {
    const name = h("a", { class: "name" });
    const about = h("span", { class: "muted small sub" });
    const bar = h("span", { class: "slots", "aria-hidden": "true" });
    const figures = h("span", { class: "figures" });
    const button = h("button", { type: "button", class: "quiet" });
    const cells = this.table.cells();
    cells[0].append(name, about);
    cells[1].append(h("span", { class: "slot-cell" }, bar, figures));
    cells[3].append(button);
    const row = { node: h("tr", { role: "row" }, cells), daemon: null };
    button.addEventListener("click", () => drain(row.daemon, this.resource));
    row.update = (daemon) => {
      row.daemon = daemon;
      setText(name, daemon.hostname);
      name.setAttribute("href", `#/?daemon=${encodeURIComponent(daemon.hostname)}`);
      name.title = `Tasks of ${daemon.hostname} (${daemonId}, machine ${daemon.machineId})`;
      setText(about, seen(daemon));
      about.title = `${daemon.address ?? ""} since ${fullTime(daemon.connectedAt)}, heard ${fullTime(daemon.lastSeen)}`;
      setText(figures, `${number(daemon.activeTasks)} of ${number(daemon.maxConcurrentTasks)}`);
      slotBar(bar, daemon);
      show(cells[2], stateOf(daemon), () => badge(stateOf(daemon)));
      setText(button, daemon.draining ? "Resume …" : "Drain …");
      button.setAttribute("aria-label", `${daemon.draining ? "Resume" : "Drain"} ${daemon.hostname}`);
    };
    return row;
  }
}

/** Its address, and for how long it has been silent, if it has. */
function seen({ address, lastSeen }) {
  const silent = now() - millis(lastSeen);
  const host = hostOf(address);
  return silent < QUIET ? host : [host, `heard ${ago(silent)}`].filter(Boolean).join(" · ");
}

const isMeant = (daemon, text) =>
  [daemon.hostname, daemon.address, daemon.machineId, daemon.daemonId].some((each) => each?.toLowerCase().includes(text));

export function slotBar(bar, { activeTasks, maxConcurrentTasks }) {
  show(bar, `${activeTasks} ${maxConcurrentTasks}`, () => {
    bar.classList.toggle("full", activeTasks >= maxConcurrentTasks);
    if (maxConcurrentTasks <= MOST_SEGMENTS)
      return Array.from({ length: maxConcurrentTasks }, (_, place) => h("i", { class: place < activeTasks ? "used" : null }));
    const used = h("i", { class: "used" });
    const rest = h("i", {});
    used.style.flexGrow = String(Math.min(activeTasks, maxConcurrentTasks));
    rest.style.flexGrow = String(Math.max(0, maxConcurrentTasks - activeTasks));
    return [used, rest];
  });
}

function hostnames(all) {
  const names = [...new Set(all.map((each) => each.hostname))].sort(NAMES.compare).slice(0, 100);
  show(byId("hostnames"), JSON.stringify(names), () => names.map((name) => h("option", { value: name })));
}

function drain(daemon, resource) {
  const { hostname, draining, activeTasks } = daemon;
  const held = activeTasks ? ` It finishes the ${plural(activeTasks, "task")} that it has.` : "";
  confirm({
    title: draining ? `Resume ${hostname}?` : `Drain ${hostname}?`,
    text: [
      draining
        ? "It gets tasks again, as far as it has free slots."
        : `It gets no new tasks until it is resumed, also after it reconnects or the relay restarts.${held}`,
    ],
    action: draining ? "Resume" : "Drain",
    run: () => ask(`/daemons/${encodeURIComponent(daemon.daemonId)}/${draining ? "resume" : "drain"}`, { method: "POST" }),
    after: (changed) => {
      toast(`${hostname} ${changed.draining ? "gets no new tasks" : "gets tasks again"}.`);
      resource.hurry();
    },
  });
}

function howToConnect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const command = `MAKIMA_DAEMON_SERVER__URL=${scheme}://${location.host}/ws/daemon \\\nMAKIMA_DAEMON_SERVER__API_KEY=your-api-key \\\nmakima daemon`;
  return h(
    "div",
    { class: "empty" },
    h("p", {}, h("b", {}, "No daemon is connected."), " Tasks wait until one is. To connect one, run on its machine:"),
    copyable(command, "Command that connects a daemon"),
    h("p", { class: "muted small" }, "The key is the server’s API key; once keys were made under ", h("a", { href: "#/keys" }, "Keys"), ", it is one of those."),
  );
}
