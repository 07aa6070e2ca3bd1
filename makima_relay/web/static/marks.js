// Words with a shape and a colour: nothing is told by colour alone.

import { h, svg } from "/static/dom.js";

const SHAPES = {
  ring: ["M6 1.75a4.25 4.25 0 1 1 0 8.5a4.25 4.25 0 1 1 0-8.5z", "line"],
  disc: ["M6 1.5a4.5 4.5 0 1 1 0 9a4.5 4.5 0 1 1 0-9z", "solid"],
  clock: ["M6 1.75a4.25 4.25 0 1 1 0 8.5a4.25 4.25 0 1 1 0-8.5zM6 3.75V6.2l1.6 1", "line"],
  arrow: ["M1.75 6h8M6.5 2.75 9.75 6 6.5 9.25", "line"],
  play: ["M3 1.75 10.25 6 3 10.25z", "solid"],
  triangle: ["M6 1.25 11.25 10.5H.75z", "solid"],
  check: ["M1.75 6.5 4.75 9.5 10.25 2.75", "line"],
  cross: ["M2.5 2.5l7 7M9.5 2.5l-7 7", "line"],
  slash: ["M6 1.75a4.25 4.25 0 1 1 0 8.5a4.25 4.25 0 1 1 0-8.5zM3.2 8.8 8.8 3.2", "line"],
  pause: ["M3.75 2.25v7.5M8.25 2.25v7.5", "line"],
};

const MARKS = {
  pending: ["clock", "wait"],
  dispatched: ["arrow", "info"],
  running: ["play", "info"],
  orphaned: ["triangle", "warn"],
  completed: ["check", "ok"],
  failed: ["cross", "bad"],
  cancelled: ["slash", "idle"],
  healthy: ["disc", "ok"],
  silent: ["triangle", "bad"],
  draining: ["pause", "warn"],
  connected: ["disc", "ok"],
  connecting: ["ring", "warn"],
  authenticating: ["ring", "warn"],
  waiting: ["clock", "warn"],
  gave_up: ["cross", "bad"],
  stopped: ["slash", "bad"],
  idle: ["ring", "idle"],
  live: ["disc", "ok"],
  polling: ["ring", "idle"],
  lost: ["cross", "bad"],
  present: ["disc", "ok"],
  away: ["cross", "bad"],
  unknown: ["ring", "idle"],
};

export const STATUSES = ["pending", "dispatched", "running", "orphaned", "completed", "failed", "cancelled"];
export const FINISHED = new Set(["completed", "failed", "cancelled"]);

function shape(name) {
  const [path, style] = SHAPES[name];
  return svg("svg", { viewBox: "0 0 12 12", class: `shape ${style}`, "aria-hidden": "true" }, svg("path", { d: path }));
}

/** A status as shape, colour and word. */
export function badge(status, word = status.replaceAll("_", " ")) {
  const [name, tone] = MARKS[status] ?? ["ring", "idle"];
  return h("span", { class: `badge ${tone}`, "data-status": status }, shape(name), word);
}

const TONES = {
  upstream_connected: "ok",
  daemon_connected: "ok",
  redis_connected: "ok",
  redis_disconnected: "bad",
  peer_connected: "ok",
  peer_disconnected: "warn",
  upstream_error: "bad",
  upstream_gave_up: "bad",
  upstream_disconnected: "warn",
  daemon_rejected: "bad",
  token_rejected: "bad",
  connection_rejected: "bad",
  reload_failed: "bad",
  task_lost: "bad",
  invalid_message: "warn",
  not_your_task: "warn",
  unroutable: "warn",
  duplicate_task: "warn",
};
const TONE_SHAPES = { ok: "disc", bad: "cross", warn: "triangle", idle: "ring" };

/** A kind of event, as in the log. */
export function eventMark(event) {
  const tone = TONES[event] ?? "idle";
  return h("span", { class: `event ${tone}` }, shape(TONE_SHAPES[tone]), event.replaceAll("_", " "));
}
