// The history of tasks: a page of it at a time, as the relay filters and orders it.

import { confirm, toast } from "/static/dialogs.js";
import { byId, h, keyed, setText, show, table } from "/static/dom.js";
import { Filters } from "/static/filters.js";
import { ago, coarse, duration, fullTime, millis, number } from "/static/format.js";
import { badge, FINISHED } from "/static/marks.js";
import { ask, now } from "/static/relay.js";

export const taskLink = (taskId) => `#/tasks/${encodeURIComponent(taskId)}`;
export const isFinished = (task) => FINISHED.has(task.status);

/** How long a task waits, or is or was at work. */
export function timeOf(task) {
  const received = millis(task.receivedAt);
  const begun = millis(task.startedAt) ?? millis(task.dispatchedAt);
  if (isFinished(task)) return duration((millis(task.finishedAt) ?? now()) - (begun ?? received));
  return task.status === "pending" ? `waits ${coarse(now() - received)}` : coarse(now() - (begun ?? received));
}

/** Asks before a task is cancelled. */
export function cancel(task, after) {
  const name = task.taskName ?? task.taskId;
  confirm({
    title: "Cancel this task?",
    text: [
      h("p", { class: "quoted" }, name),
      task.status === "pending"
        ? "It is taken out of the queue, and the server is told. It cannot be undone."
        : "Its daemon is told to interrupt it; what it has done so far stays done.",
    ],
    action: "Cancel the task",
    isDangerous: true,
    run: () => ask(`/tasks/${encodeURIComponent(task.taskId)}/cancel`, { method: "POST" }),
    after: (changed) => {
      toast(changed.status === "cancelled" ? "The task is cancelled." : "The daemon is told to interrupt the task.");
      after();
    },
  });
}

export class Tasks {
  /** `go` gets the filter that is wanted, which comes back by `route`. */
  constructor(resource, go) {
    this.resource = resource;
    this.filters = new Filters({ form: "filters", prefix: "filter-", fields: ["status", "daemon", "q"], resource, path: "/tasks", go });
    this.table = table("Tasks, newest first", [
      { name: "Task", kind: "wide" },
      { name: "Status" },
      { name: "Daemon" },
      { name: "Received" },
      { name: "Time" },
      { name: "Action", hidden: true, kind: "action" },
    ]);
  }

  /** Shows what the address says. */
  route(query) {
    this.filters.route(query);
  }

  /** A task has changed. */
  heard(task) {
    const tasks = this.resource.data?.tasks;
    const place = tasks?.findIndex((each) => each.taskId === task?.taskId) ?? -1;
    if (place >= 0) tasks[place] = task;
    this.resource.touch();
  }

  /** A daemon has changed, and why tasks wait may have with it: of that no event tells, however many tasks wait. */
  heardOfDaemon() {
    if (this.resource.data?.tasks.some((each) => each.status === "pending")) this.resource.touch();
  }

  render() {
    const { data, error } = this.resource;
    if (error !== null && error.status === 400) {
      show(byId("tasks"), error.message, () => h("p", { class: "empty error" }, error.message));
      return;
    }
    if (data === null) return;
    if (this.filters.isBehindTheLastPage(data)) return;
    const key = data.tasks.length ? "table" : this.filters.areSet ? "no match" : "no task";
    show(byId("tasks"), key, () => (key === "table" ? this.table.node : this.empty(key)));
    keyed(this.table.body, data.tasks, (each) => each.taskId, (each) => this.row(each));
    this.filters.leaf(byId("tasks-pager"), data);
  }

  empty(key) {
    if (key === "no match") return h("p", { class: "empty" }, "No task is like that.");
    return h("p", { class: "empty" }, h("b", {}, "No tasks yet."), " They come from the Makima server, and are shown here as soon as they do.");
  }

  row({ taskId }) {
    const name = h("a", { class: "name", href: taskLink(taskId) });
    const note = h("span", { class: "small sub note bad" });
    const id = h("span", { class: "muted small sub mono" }, taskId);
    const cells = this.table.cells();
    const button = h("button", { type: "button", class: "quiet danger" }, "Cancel …");
    const place = h("span", {});
    cells[0].append(name, id, note);
    const relay = h("span", { class: "muted small sub" });
    cells[2].append(place, relay);
    cells[2].classList.add("place");
    for (const each of [3, 4]) cells[each].classList.add("figures");
    const row = { node: h("tr", { role: "row" }, cells), task: null };
    button.addEventListener("click", () => cancel(row.task, () => this.resource.hurry()));
    cells[5].append(button);
    row.update = (task) => {
      row.task = task;
      setText(name, task.taskName ?? taskId);
      id.hidden = task.taskName === null;
      setText(note, task.error ?? "");
      show(cells[1], task.status, () => badge(task.status));
      setText(place, task.pendingReason ?? task.daemonHostname ?? task.daemonId ?? "–");
      place.className = task.pendingReason ? "why" : "host";
      relay.hidden = !task.relay;
      setText(relay, task.relay ? `at ${task.relay}` : "");
      setText(cells[3], ago(now() - millis(task.receivedAt)));
      cells[3].title = fullTime(task.receivedAt);
      setText(cells[4], timeOf(task) + (task.attempts > 1 ? `, attempt ${number(task.attempts)}` : ""));
      button.hidden = isFinished(task);
      button.setAttribute("aria-label", `Cancel ${task.taskName ?? taskId}`);
    };
    return row;
  }
}
