// The cluster: the relays that share their work, and the tasks of all with where they run.

import { byId, h, keyed, setText, show, table } from "/static/dom.js";
import { Filters } from "/static/filters.js";
import { slotBar } from "/static/fleet.js";
import { ago, coarse, fullTime, millis, number, plural } from "/static/format.js";
import { badge } from "/static/marks.js";
import { tile } from "/static/overview.js";
import { now } from "/static/relay.js";
import { taskLink, timeOf } from "/static/tasks.js";

const host = (name) => h("span", { class: "host" }, name);

export class Cluster {
  /** `go` gets the filter that is wanted, which comes back by `route`. */
  constructor(resources, go) {
    this.resources = resources;
    this.filters = new Filters({ form: "cluster-filters", prefix: "cluster-", fields: ["status", "q"], resource: resources.clusterTasks, path: "/cluster/tasks", go });
    this.relays = table("Relays of the cluster", [
      { name: "Relay", kind: "wide" },
      { name: "State" },
      { name: "Server" },
      { name: "Slots" },
      { name: "Queue" },
      { name: "Tasks" },
    ]);
    this.tasks = table("Tasks of all relays, newest first", [
      { name: "Task", kind: "wide" },
      { name: "Status" },
      { name: "Relay" },
      { name: "Daemon" },
      { name: "Received" },
      { name: "Time" },
    ]);
    this.tiles = { relays: tile("Relays"), slots: tile("Free slots"), active: tile("Active tasks"), pending: tile("Pending tasks"), foreign: tile("Tasks elsewhere") };
    byId("cluster-totals").append(...Object.values(this.tiles).map((each) => each.node));
  }

  /** Shows what the address says. */
  route(query) {
    this.filters.route(query);
  }

  /** Has asked for what there is: nothing without a cluster, and no tasks without Redis. */
  want(isHere) {
    const { status, cluster, clusterTasks } = this.resources;
    const isIn = isHere && Boolean(status.data?.cluster);
    for (const [resource, isWanted] of [
      [cluster, isIn],
      [clusterTasks, isIn && cluster.data?.redis.connected === true],
    ]) {
      if (isWanted && !resource.wanted) resource.hurry();
      resource.wanted = isWanted;
    }
  }

  render() {
    const status = this.resources.status.data;
    const { data } = this.resources.cluster;
    const isAlone = status !== null && !status.cluster;
    for (const id of ["cluster-totals", "cluster-tasks-panel"]) byId(id).hidden = isAlone;
    if (isAlone) {
      show(byId("cluster-relays"), "alone", () => h("p", { class: "empty" }, h("b", {}, "This relay is in no cluster."), " Relays that are started with --redis share their daemons."));
      return;
    }
    if (data === null) return;
    this.renderHead(data);
    this.renderTotals(data);
    show(byId("cluster-relays"), "table", () => this.relays.node);
    keyed(this.relays.body, data.relays, (each) => each.relayId, (each) => this.relayRow(each));
    this.renderTasks(data);
  }

  renderHead({ cluster, redis, asOf }) {
    setText(byId("cluster-name"), `“${cluster}”`);
    show(byId("cluster-redis"), String(redis.connected), () => badge(redis.connected ? "connected" : "lost", redis.connected ? "Redis" : "Redis is away"));
    byId("cluster-redis").title = `since ${fullTime(redis.since)}`;
    const away = byId("cluster-away");
    away.hidden = redis.connected;
    const known = asOf === null ? "Nothing is known of other relays yet." : `Other relays are shown as they were ${ago(now() - millis(asOf))}.`;
    const words = `Redis has been away for ${coarse(now() - millis(redis.since))}. ${known} Each relay goes on with its own daemons; what is meant for others waits.`;
    setText(away, redis.connected ? "" : words);
  }

  renderTotals({ relays, totals, redis }) {
    const { relays: there, slots, active, pending, foreign } = this.tiles;
    const present = relays.filter((each) => each.present).length;
    setText(there.value, number(present));
    const there_ = present < relays.length ? `present, ${number(relays.length - present)} away` : "present";
    setText(there.note, redis.connected ? there_ : `${there_}, when last seen`);
    there.node.classList.toggle("warn", present < relays.length);
    setText(slots.value, number(totals.freeSlots));
    setText(slots.note, `of ${number(totals.freeSlots + totals.busySlots)}, ${plural(totals.connectedDaemons, "daemon")}`);
    setText(active.value, number(totals.activeTasks));
    setText(active.note, "with a daemon");
    setText(pending.value, number(totals.pendingTasks));
    const oldest = Math.max(0, ...relays.filter((each) => each.present).map((each) => each.oldestPendingSeconds));
    setText(pending.note, totals.pendingTasks ? `the oldest waits ${coarse(oldest * 1000)}` : "nothing waits");
    setText(foreign.value, number(totals.foreignTasks));
    setText(foreign.note, "at another relay’s daemons");
  }

  relayRow({ relayId }) {
    const name = h("span", { class: "name" });
    const about = h("span", { class: "muted small sub" });
    const seen = h("span", { class: "muted small sub" });
    const mark = h("span", {});
    const server = h("span", {});
    const bar = h("span", { class: "slots", "aria-hidden": "true" });
    const used = h("span", { class: "figures" });
    const daemons = h("span", { class: "muted small sub" });
    const pending = h("span", { class: "figures" });
    const oldest = h("span", { class: "small sub note" });
    const active = h("span", { class: "figures" });
    const foreign = h("span", { class: "muted small sub" });
    const cells = this.relays.cells();
    cells[0].append(name, about);
    cells[1].append(mark, seen);
    cells[2].append(server);
    cells[3].append(h("span", { class: "slot-cell" }, bar, used), daemons);
    cells[4].append(pending, oldest);
    cells[5].append(active, foreign);
    const node = h("tr", { role: "row" }, cells);
    const update = (relay) => {
      const { relayId: own, redis } = this.resources.cluster.data;
      const [isOwn, isConnected] = [relayId === own, redis.connected];
      const slots = relay.busySlots + relay.freeSlots;
      const state = isOwn || isConnected ? (relay.present ? "present" : "away") : "unknown";
      const isKnown = state === "present";
      node.classList.toggle("gone", !isKnown);
      setText(name, relay.agentName);
      setText(about, isOwn ? `this relay · ${relay.version}` : relay.version);
      show(mark, state, () => badge(state));
      setText(seen, isKnown ? "" : `seen ${ago(now() - millis(relay.lastSeen))}`);
      seen.title = fullTime(relay.lastSeen);
      show(server, isKnown ? String(relay.upstreamConnected) : "–", () => (isKnown ? serverBadge(relay.upstreamConnected) : ["–"]));
      bar.hidden = !isKnown || slots === 0;
      slotBar(bar, { activeTasks: relay.busySlots, maxConcurrentTasks: slots });
      setText(used, isKnown ? `${number(relay.busySlots)} of ${number(slots)}` : "–");
      setText(daemons, isKnown ? plural(relay.connectedDaemons, "daemon") : "");
      setText(pending, `${number(relay.pendingTasks)} pending`);
      setText(oldest, relay.pendingTasks ? `the oldest waits ${coarse(relay.oldestPendingSeconds * 1000)}` : "");
      setText(active, `${number(relay.activeTasks)} active`);
      setText(foreign, relay.foreignTasks ? `and ${number(relay.foreignTasks)} of others` : "");
    };
    return { node, update };
  }

  // ------------------------------------------------------------------------------------------------------------- tasks

  renderTasks({ redis }) {
    const { data, error } = this.resources.clusterTasks;
    const trouble = redis.connected ? error?.message : "Redis is away: the tasks of other relays cannot be told now. The overview has those of this one.";
    if (trouble) {
      show(byId("cluster-tasks"), trouble, () => h("p", { class: "empty" }, trouble));
      byId("cluster-pager").hidden = true;
      return;
    }
    if (data === null) return;
    if (this.filters.isBehindTheLastPage(data)) return;
    const key = data.tasks.length ? "table" : this.filters.areSet ? "No task is like that." : "No relay has a task.";
    show(byId("cluster-tasks"), key, () => (key === "table" ? this.tasks.node : h("p", { class: "empty" }, key)));
    keyed(this.tasks.body, data.tasks, (each) => `${each.originId} ${each.taskId}`, (each) => this.taskRow(each));
    this.filters.leaf(byId("cluster-pager"), data);
  }

  taskRow({ taskId, originId, origin }) {
    const isOwn = originId === this.resources.cluster.data.relayId;
    const name = isOwn ? h("a", { class: "name", href: taskLink(taskId) }) : h("span", { class: "name", title: `${origin} has its events and its output` });
    const id = h("span", { class: "muted small sub mono" }, taskId);
    const note = h("span", { class: "small sub note bad" });
    const place = h("span", {});
    const cells = this.tasks.cells();
    cells[0].append(name, id, note);
    cells[3].append(place);
    for (const each of [4, 5]) cells[each].classList.add("figures");
    const update = (task) => {
      setText(name, task.taskName ?? taskId);
      id.hidden = task.taskName === null;
      setText(note, task.error ?? "");
      show(cells[1], task.status, () => badge(task.status));
      show(cells[2], JSON.stringify([task.origin, task.relay]), () => where(task));
      setText(place, task.pendingReason ?? task.daemonHostname ?? task.daemonId ?? "–");
      place.className = task.pendingReason ? "why" : "host";
      setText(cells[4], ago(now() - millis(task.receivedAt)));
      cells[4].title = fullTime(task.receivedAt);
      setText(cells[5], timeOf(task) + (task.attempts > 1 ? `, attempt ${number(task.attempts)}` : ""));
    };
    return { node: h("tr", { role: "row" }, cells), update };
  }
}

const serverBadge = (isConnected) => badge(isConnected ? "connected" : "waiting", isConnected ? "connected" : "not connected");

/** Whose task it is, and who has it if that is another. */
function where({ origin, relay }) {
  if (!relay) return [host(origin)];
  return [host(origin), h("span", { class: "elsewhere" }, h("span", { "aria-hidden": "true" }, "→ "), h("span", { class: "hidden-text" }, "at "), host(relay))];
}
