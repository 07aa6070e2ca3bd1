// One task: what became of it, and its output as it comes.

import { copy } from "/static/dialogs.js";
import { byId, h, keyed, setText, show } from "/static/dom.js";
import { clock, duration, fullTime, millis, number, plain } from "/static/format.js";
import { badge } from "/static/marks.js";
import { ask, now } from "/static/relay.js";
import { cancel, isFinished, timeOf } from "/static/tasks.js";

/** Characters of output that are kept on the page; the oldest go first. */
const MOST_TEXT = 256 * 1024;
/** Nearer to its end than this, in pixels, one reads the end. */
const NEAR = 24;
const TEXTS = ["output", "text", "content", "data", "line", "chunk", "message"];
const PERCENTS = ["percent", "percentage", "progress"];

const first = (names, report, type) => names.map((name) => report[name]).find((value) => typeof value === type);

/** What a report says: text to print, or how far the task is in percent, or neither. */
function reading(payload) {
  let report = payload;
  if (typeof payload === "string") {
    try {
      report = JSON.parse(payload);
    } catch {
      return { text: payload };
    }
  }
  if (report === null || typeof report !== "object") return {};
  const isError = report.stream === "stderr" || report.isError === true;
  const kind = String(report.type ?? "").toLowerCase().replaceAll(/[_-]/g, "");
  if (kind === "taskprogress") {
    const given = first(PERCENTS, report, "number");
    const isShare = given !== undefined && given <= 1 && report.percent === undefined;
    return { percent: given === undefined ? undefined : isShare ? given * 100 : given, text: first(["message", "text"], report, "string") };
  }
  return { text: first(TEXTS, report, "string"), isError };
}

/** A pane of text that grows at its end. */
class Terminal {
  constructor(node) {
    this.node = node;
    this.follow = byId("output-follow");
    this.follow.addEventListener("change", () => this.scroll());
    node.addEventListener("scroll", () => {
      if (!this.isScrolling) this.follow.checked = node.scrollHeight - node.scrollTop - node.clientHeight < NEAR;
      this.isScrolling = false;
    });
    this.clear();
  }

  clear() {
    this.node.replaceChildren();
    this.rest = "";
    this.length = 0;
    this.endsLine = true;
    this.follow.checked = true;
  }

  /** Prints the output of a report; daemons send lines without their ends, or pieces with them. */
  print({ text, isError }) {
    const { text: shown, rest } = plain(this.rest + text);
    this.rest = rest;
    if (!shown && rest) return;
    const whole = shown.endsWith("\n") ? shown : `${shown}\n`;
    this.node.append(h("span", { class: isError ? "stderr" : null }, whole));
    this.length += whole.length;
    while (this.length > MOST_TEXT && this.node.childNodes.length > 1) {
      this.length -= this.node.firstChild.textContent.length;
      this.node.firstChild.remove();
    }
  }

  scroll() {
    if (!this.follow.checked) return;
    this.isScrolling = this.node.scrollTop + this.node.clientHeight < this.node.scrollHeight - 1;
    this.node.scrollTop = this.node.scrollHeight;
  }
}

export class TaskPage {
  constructor(resource, live, changed) {
    this.resource = resource;
    this.live = live;
    this.changed = changed;
    this.taskId = null;
    this.terminal = new Terminal(byId("output"));
    resource.path = () => `/tasks/${encodeURIComponent(this.taskId)}`;
    byId("task-cancel").addEventListener("click", () => cancel(this.resource.data, () => this.resource.hurry()));
    byId("output-copy").addEventListener("click", (event) => copy(byId("output"), event.currentTarget));
    setInterval(() => this.poll(), 2000);
  }

  /** Shows a task; none when its page is left. */
  route(taskId) {
    if (taskId === this.taskId) return;
    this.taskId = taskId;
    this.live.listenTo(taskId);
    this.resource.wanted = taskId !== null;
    this.resource.reset();
    this.forgetOutput();
    setText(byId("task-title"), taskId ?? "");
    for (const id of ["task-badge", "task-facts"]) show(byId(id), "", () => []);
    byId("task-cancel").hidden = byId("task-trouble").hidden = true;
    byId("task-columns").hidden = false;
    keyed(byId("timeline"), [], () => null, () => null);
    if (taskId !== null) this.askOutput();
  }

  forgetOutput() {
    this.terminal.clear();
    this.run = null;
    this.last = 0;
    this.isAnswered = false;
    this.waiting = [];
    this.isKept = true;
    this.hasOutput = false;
    this.note = "";
    byId("task-progress").hidden = true;
    setText(byId("output-note"), "");
  }

  /** Asks for the output so far: at first, and where it is not told as it comes. */
  async askOutput() {
    this.isWanted = true;
    if (this.isAsking) return;
    this.isAsking = true;
    this.isWanted = false;
    const taskId = this.taskId;
    const answer = await ask(`/tasks/${encodeURIComponent(taskId)}/output`).catch((error) => error);
    this.isAsking = false;
    if (this.isWanted) {
      if (this.taskId !== null) this.askOutput();
      return;
    }
    if (answer instanceof Error) this.isKept = answer.status !== 404;
    else {
      this.isKept = answer.limit !== 0;
      this.begun(answer.lastEventId.split("-")[0]);
      this.print(answer.output);
      this.note = answer.truncated ? "the beginning is not kept" : "";
    }
    this.isAnswered = true;
    this.changed();
  }

  /** Events come from now on; what came since the last answer has to be asked for, and comes before them. */
  opened() {
    if (this.taskId === null) return;
    this.isAnswered = false;
    this.askOutput();
  }

  poll() {
    const isLeft = this.taskId === null || document.hidden || !this.live.isOn || this.live.lostAt !== null;
    const task = this.resource.data;
    const isOver = task !== null && isFinished(task) && now() - millis(task.finishedAt) > 10_000;
    if (!isLeft && this.isKept && !this.live.isStreaming && !isOver) this.askOutput();
  }

  /** The relay counts reports from 1 again whenever it is started: another run's are others. */
  begun(run) {
    if (run !== this.run) this.last = 0;
    this.run = run;
  }

  /** Prints reports that were not printed yet, however they came. */
  print(reports) {
    for (const report of reports) {
      if (report.number <= this.last) continue;
      this.last = report.number;
      if (report.missed) this.terminal.print({ text: "… some output came too fast to be shown …", isError: false });
      const { text, percent, isError } = reading(report.payload);
      if (text !== undefined) {
        this.hasOutput = true;
        this.terminal.print({ text, isError });
      }
      if (percent !== undefined) this.progress(percent);
    }
    this.terminal.scroll();
  }

  progress(percent) {
    const [bar, figures] = byId("task-progress").children;
    byId("task-progress").hidden = false;
    bar.value = percent;
    setText(figures, `${Math.round(percent)} %`);
  }

  heardOutput(report) {
    if (report === null || (report.taskId ?? this.taskId) !== this.taskId) return;
    this.waiting.push(report);
    this.changed();
  }

  heard(task) {
    if (task === null || task.taskId !== this.taskId || this.resource.data === null) return;
    this.resource.data = { ...this.resource.data, ...task, events: this.resource.data.events };
    this.resource.touch();
    this.changed();
  }

  /** A daemon has changed, and why the task waits may have with it. */
  heardOfDaemon() {
    if (this.resource.data?.status === "pending") this.resource.touch();
  }

  render() {
    if (this.taskId === null) return;
    // What is told comes after what was kept, and may be some of it.
    if (this.isAnswered) this.print(this.waiting.splice(0));
    const { data: task, error } = this.resource;
    const trouble = byId("task-trouble");
    if (error !== null && error.status === 404) {
      trouble.hidden = false;
      trouble.className = "notice bad";
      setText(trouble, "There is no task of this id. It may have been pruned.");
      byId("task-columns").hidden = task === null;
    }
    if (task === null) return;
    setText(byId("task-title"), task.taskName ?? task.taskId);
    show(byId("task-badge"), task.status, () => badge(task.status));
    byId("task-cancel").hidden = isFinished(task);
    trouble.hidden = !task.error && task.status !== "pending";
    trouble.className = `notice ${task.error ? "bad" : "wait"}`;
    setText(trouble, task.error ?? (task.pendingReason ? `It waits: ${task.pendingReason}.` : ""));
    trouble.hidden = !trouble.textContent;
    this.renderFacts(task);
    this.renderTimeline(task.events);
    setText(byId("output-note"), this.outputNote(task));
  }

  outputNote(task) {
    if (!this.isKept) return "not kept by this relay";
    if (this.hasOutput) return this.note;
    return isFinished(task) ? "none" : "none yet";
  }

  renderFacts(task) {
    const facts = [
      ["Id", task.taskId, "mono"],
      ["Daemon", task.daemonHostname ?? task.daemonId ?? "none yet"],
      ...(task.relay ? [["Relay", task.relay]] : []),
      ["Received", fullTime(task.receivedAt)],
      ["Time", timeOf(task), "figures"],
      ["Attempts", number(task.attempts), "figures"],
    ];
    if (task.traceparent) facts.push(["Trace", task.traceparent, "mono"]);
    show(byId("task-facts"), JSON.stringify(facts), () =>
      facts.map(([name, value, kind]) => h("div", {}, h("dt", {}, name), h("dd", { class: kind }, value))),
    );
  }

  renderTimeline(events) {
    const steps = events.map((event, place) => ({ ...event, place, before: events[place - 1]?.timestamp }));
    keyed(byId("timeline"), steps, (each) => each.place, (step) => {
      const time = h("time", { class: "figures small", datetime: step.timestamp, title: fullTime(step.timestamp) }, clock(step.timestamp));
      const after = step.before ? `after ${duration(millis(step.timestamp) - millis(step.before))}` : "";
      const error = step.error ? h("p", { class: "small bad" }, step.error) : null;
      const node = h("li", {}, badge(step.status), time, h("span", { class: "muted small figures" }, after), error);
      return { node, update() {} };
    });
  }
}
