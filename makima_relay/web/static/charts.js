// What happened in the last minutes, as the answers of /status say, and its drawing.

import { number, rate } from "/static/format.js";
import { h, soon, svg } from "/static/dom.js";

const STEP = 5_000;
const STEPS = 60;
/** More time than this between two answers, in ms, and nobody knows when what happened happened. */
const GAP = 20_000;
const STORED = "makima-relay history 2";

/** Steps of 5 s: tasks that finished and reports that came in each, and the most tasks that were pending and active. */
export class History {
  constructor() {
    this.steps = new Map();
    this.before = null;
    this.restore();
    addEventListener("pagehide", () => this.keep());
  }

  /** Takes an answer of /status, at a time in ms. */
  add(status, at) {
    const number_ = Math.floor(at / STEP);
    const step = this.steps.get(number_) ?? { finished: 0, reports: 0, pending: 0, active: 0 };
    step.pending = Math.max(step.pending, status.pendingTasks);
    step.active = Math.max(step.active, status.activeTasks);
    const before = this.before;
    const { totalTasksProcessed: finished, totalReports: reports } = status;
    if (before !== null && at - before.at <= GAP) {
      // A relay that was started again counts reports from 0.
      step.finished += Math.max(0, finished - before.finished);
      step.reports += reports < before.reports ? reports : reports - before.reports;
    }
    this.before = { at, finished, reports };
    this.steps.set(number_, step);
    for (const old of this.steps.keys()) if (old <= number_ - STEPS) this.steps.delete(old);
  }

  /** The last 5 minutes, oldest first; null where nobody looked. */
  last(at) {
    const end = Math.floor(at / STEP);
    return Array.from({ length: STEPS }, (_, place) => this.steps.get(end - STEPS + 1 + place) ?? null);
  }

  keep() {
    try {
      sessionStorage.setItem(STORED, JSON.stringify({ before: this.before, steps: [...this.steps] }));
    } catch {
      // A browser that keeps nothing begins anew.
    }
  }

  restore() {
    try {
      const kept = JSON.parse(sessionStorage.getItem(STORED));
      if (kept === null) return;
      this.before = kept.before;
      this.steps = new Map(kept.steps);
    } catch {
      this.steps = new Map();
    }
  }
}

const HEIGHT = 104;
const TOP = 16;
const BOTTOM = 18;

/** A round number that is no less, for the top of an axis. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  return [1, 2, 3, 5, 8, 10].map((factor) => factor * power).find((each) => each >= value) ?? value;
}

/** Draws into a node, anew when its width changes. */
export class Chart {
  constructor(host, draw) {
    this.host = host;
    this.drawing = draw;
    this.steps = [];
    this.shown = "";
    new ResizeObserver(() => soon(this.redraw)).observe(host);
  }

  set(steps) {
    this.steps = steps;
    soon(this.redraw);
  }

  redraw = () => {
    const width = this.host.clientWidth;
    const key = `${width} ${JSON.stringify(this.steps)}`;
    if (!width || key === this.shown) return;
    this.shown = key;
    this.host.replaceChildren(this.drawing(this.steps, width));
  };
}

function frame(width, most, label, ...marks) {
  const base = HEIGHT - BOTTOM;
  const texts = [
    svg("text", { x: 0, y: TOP - 5 }, number(most)),
    svg("text", { x: 0, y: HEIGHT - 4 }, "5 min ago"),
    svg("text", { x: width, y: HEIGHT - 4, "text-anchor": "end" }, "now"),
  ];
  const lines = [TOP, (TOP + base) / 2, base].map((y, place) =>
    svg("line", { x1: 0, x2: width, y1: y, y2: y, class: place === 2 ? "axis" : "grid" }),
  );
  const size = { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT };
  return svg("svg", { ...size, role: "img", "aria-label": label }, lines, marks.flat(), texts);
}

const scale = (value, most) => ((HEIGHT - BOTTOM - TOP) * value) / most;
const sum = (values) => values.reduce((one, other) => one + other, 0);
const known = (steps, member) => steps.filter((step) => step !== null).map((step) => step[member]);

/** A bar for each step that has a value, with what a pointer is told of it. */
function bars(values, width, most, about) {
  const slot = width / STEPS;
  return values.map((value, place) => {
    if (!value) return [];
    const height = Math.max(2, scale(value, most));
    const where = { x: place * slot + slot * 0.12, width: slot * 0.76, y: HEIGHT - BOTTOM - height, height, rx: 1 };
    return svg("rect", { ...where, class: "bar-mark" }, svg("title", {}, about(value)));
  });
}

/** Bars: the tasks that finished in each step. */
export function throughput(steps, width) {
  const finished = known(steps, "finished");
  const most = roundUp(Math.max(1, ...finished));
  const label = `${number(sum(finished))} tasks finished in the last 5 minutes, at most ${number(Math.max(0, ...finished))} in 5 seconds`;
  const marks = bars(steps.map((step) => step?.finished), width, most, (value) => `${number(value)} in 5 s`);
  return frame(width, most, label, marks);
}

const rateOf = (step) => step && (step.reports * 1000) / STEP;

/** Bars: the reports that came a second, in each step. */
export function reports(steps, width) {
  const rates = steps.map(rateOf);
  const highest = Math.max(0, ...rates);
  const most = roundUp(Math.max(1, highest));
  return frame(width, most, `At most ${rate(highest)} reports came in a second in the last 5 minutes`, bars(rates, width, most, (value) => `${rate(value)} a second`));
}

/** How many reports came a second in the last step that is over; null where nobody looked. */
export const reportsNow = (steps) => rateOf(steps.at(-2));

function line(steps, member, width, most, className) {
  const slot = width / (STEPS - 1);
  let path = "";
  let pen = "M";
  steps.forEach((step, place) => {
    if (step === null) {
      pen = "M";
      return;
    }
    const point = `${(place * slot).toFixed(1)} ${(HEIGHT - BOTTOM - scale(step[member], most)).toFixed(1)}`;
    // The first of a line, or the only one, is a dot: otherwise nothing would be seen of it.
    path += pen === "M" ? `M${point}h0` : `L${point}`;
    pen = "L";
  });
  return path ? svg("path", { d: path, class: className }) : [];
}

/** Two lines: the tasks that daemons have, and those that wait. */
export function queue(steps, width) {
  const pending = known(steps, "pending");
  const active = known(steps, "active");
  const most = roundUp(Math.max(1, ...pending, ...active));
  const label = `In the last 5 minutes at most ${number(Math.max(0, ...pending))} tasks were pending and ${number(Math.max(0, ...active))} active`;
  return frame(
    width,
    most,
    label,
    line(steps, "active", width, most, "line-active"),
    line(steps, "pending", width, most, "line-pending"),
  );
}

/** What the lines mean, each beside a piece of it. */
export function legend() {
  const entry = (word, className) => [
    svg("svg", { viewBox: "0 0 18 8", class: "legend-mark", "aria-hidden": "true" }, svg("path", { d: "M1 4h16", class: className })),
    h("span", {}, word),
  ];
  return [...entry("active", "line-active"), ...entry("pending", "line-pending")];
}

export const finishedIn = (steps) => sum(known(steps, "finished"));
