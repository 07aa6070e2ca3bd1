// The top of the overview: the connection to the server, totals, and the last minutes.

import { Chart, finishedIn, History, legend, queue, reports, reportsNow, throughput } from "/static/charts.js";
import { confirm, toast } from "/static/dialogs.js";
import { byId, h, setText, show } from "/static/dom.js";
import { ago, bytes, coarse, millis, number, plural, rate } from "/static/format.js";
import { badge } from "/static/marks.js";
import { ask, now } from "/static/relay.js";

const WORDS = {
  idle: ["idle", "Not connected yet"],
  connecting: ["connecting", "Connecting …"],
  authenticating: ["authenticating", "Authenticating …"],
  connected: ["connected", "Connected"],
  waiting: ["waiting", "Not connected"],
  gave_up: ["gave_up", "Gave up"],
  stopped: ["stopped", "Stopping"],
};

const DRAWINGS = { throughput, reports, queue };

/** The connection to the server in a word, for the header. */
export function upstreamBadge(status) {
  const state = status.upstream.state;
  return badge(state, state === "waiting" ? "reconnecting" : state.replaceAll("_", " "));
}

export function tile(name) {
  const value = h("dd", { class: "figures" });
  const note = h("dd", { class: "muted small" });
  return { node: h("div", {}, h("dt", {}, name), value, note), value, note };
}

export class Overview {
  constructor(resources) {
    this.resources = resources;
    this.history = new History();
    this.charts = ["throughput", "reports", "queue"].map((id) => new Chart(byId(id), DRAWINGS[id]));
    byId("queue-legend").append(...legend());
    this.tiles = {
      daemons: tile("Daemons"),
      active: tile("Active tasks"),
      pending: tile("Pending tasks"),
      finished: tile("Finished tasks"),
      outbox: tile("Outbox"),
    };
    byId("totals").append(...Object.values(this.tiles).map((each) => each.node));
    byId("reconnect").addEventListener("click", () => this.reconnect());
    resources.status.onChange(() => this.learn());
  }

  learn() {
    const status = this.resources.status.data;
    if (status !== null) this.history.add(status, now());
  }

  render() {
    const status = this.resources.status.data;
    if (status === null) return;
    this.renderUpstream(status);
    this.renderTotals(status);
    const steps = this.history.last(now());
    for (const chart of this.charts) chart.set(steps);
    const finished = finishedIn(steps);
    setText(byId("throughput-sum"), `${number(finished)} in 5 min`);
    const now_ = reportsNow(steps);
    setText(byId("reports-now"), now_ === null ? "" : `now ${rate(now_)}`);
  }

  /** What changes each second without news. */
  tick() {
    const status = this.resources.status.data;
    if (status === null) return;
    setText(byId("upstream-next"), nextAttempt(status.upstream));
    setText(byId("upstream-facts"), facts(status, this.resources.logs.data));
  }

  renderUpstream(status) {
    const { state } = status.upstream;
    const [mark, words] = WORDS[state] ?? ["idle", state];
    show(byId("upstream-state"), state, () => badge(mark, words));
    byId("reconnect").classList.toggle("primary", state === "gave_up");
    setText(byId("reconnect"), state === "connected" ? "Reconnect …" : "Connect now …");
    this.tick();
  }

  renderTotals(status) {
    const { daemons, active, pending, finished, outbox } = this.tiles;
    const known = this.resources.daemons.data?.daemons;
    const fleet = known ?? [];
    const slots = fleet.reduce((sum, each) => sum + each.maxConcurrentTasks, 0);
    const free = fleet.reduce((sum, each) => sum + (takesWork(each) ? Math.max(0, each.maxConcurrentTasks - each.activeTasks) : 0), 0);
    const { outbox: reports, outboxBytes, outboxHasRoom } = status.upstream;
    setText(daemons.value, number(status.connectedDaemons));
    setText(daemons.note, known ? (fleet.length ? `${plural(free, "slot")} of ${number(slots)} free` : "none connected") : "");
    setText(active.value, number(status.activeTasks));
    setText(active.note, status.foreignTasks ? `with a daemon; besides ${number(status.foreignTasks)} of other relays` : "with a daemon");
    setText(pending.value, number(status.pendingTasks));
    setText(pending.note, status.pendingTasks ? waitingFor(status, fleet) : "nothing waits");
    setText(finished.value, number(status.totalTasksProcessed));
    setText(finished.note, "since the first start");
    setText(outbox.value, number(reports));
    const size = (outboxBytes?.memory ?? 0) + (outboxBytes?.disk ?? 0);
    setText(outbox.note, outboxHasRoom === false ? "full: daemons are held" : reports ? `${reports === 1 ? "report" : "reports"}, ${bytes(size)}` : "the server has all reports");
    outbox.node.classList.toggle("warn", outboxHasRoom === false);
  }

  reconnect() {
    const isUp = this.resources.status.data?.upstream.state === "connected";
    confirm({
      title: isUp ? "Reconnect to the server?" : "Connect to the server now?",
      text: [
        isUp
          ? "This drops the connection that stands, and connects anew. Nothing is lost: reports wait meanwhile."
          : "This starts over: the attempts are counted from the first, which is made at once.",
      ],
      action: isUp ? "Reconnect" : "Connect now",
      run: () => ask("/reconnect", { method: "POST" }),
      after: () => {
        toast("The relay connects anew.");
        this.resources.status.hurry();
        this.resources.logs.hurry();
      },
    });
  }
}

function waitingFor({ connectedDaemons }, fleet) {
  if (!connectedDaemons) return "waiting for a daemon";
  return fleet.length && !fleet.some(takesWork) ? "all daemons draining or silent" : "waiting for a slot";
}

export const takesWork = (daemon) => daemon.healthy && !daemon.draining;

function nextAttempt(upstream) {
  const failed = `${plural(upstream.attempt, "attempt")} failed in a row`;
  if (upstream.state === "gave_up") return `after ${plural(upstream.attempt, "failed attempt")}`;
  if (upstream.state !== "waiting") return upstream.state !== "connected" && upstream.attempt ? failed : "";
  const left = Math.ceil((millis(upstream.nextAttemptAt) - now()) / 1000);
  return `${left > 0 ? `next attempt in ${left} s` : "trying again now"}${upstream.attempt ? `; ${failed}` : ""}`;
}

function facts(status, logs) {
  const { state, url } = status.upstream;
  const said = [url];
  if (state === "connected") {
    if (status.lastHeartbeat) said.push(`last heartbeat ${ago(now() - millis(status.lastHeartbeat))}`);
  } else {
    const trouble = logs?.logs.find((entry) => entry.event.startsWith("upstream_"));
    if (trouble) said.push(trouble.detail);
    said.push("daemons are served meanwhile, their reports wait");
  }
  said.push(`relay up for ${coarse(status.uptimeSeconds * 1000)}`);
  return said.join(" · ");
}
