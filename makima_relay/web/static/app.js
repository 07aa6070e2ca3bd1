// Puts the dashboard together: signing in, what is shown when, and what is said above everything.

import { byId, h, setText, show, soon } from "/static/dom.js";
import { ask, Live, Problem, Resource, Unreachable } from "/static/relay.js";
import { Cluster } from "/static/cluster.js";
import { Fleet } from "/static/fleet.js";
import { Keys } from "/static/keys.js";
import { Log } from "/static/log.js";
import { Notices } from "/static/notices.js";
import { Overview, upstreamBadge } from "/static/overview.js";
import { TaskPage } from "/static/task.js";
import { Tasks } from "/static/tasks.js";

const resources = {
  status: new Resource("/status", { pace: 500, poll: 2000, slow: 2500 }),
  health: new Resource("/health", { poll: 10_000, slow: 10_000, takes: [503] }),
  daemons: new Resource("/daemons", { pace: 2000, poll: 2000 }),
  tasks: new Resource("/tasks", { poll: 2000 }),
  logs: new Resource(() => `/logs?limit=${view === "log" ? 200 : 20}`, { pace: 1000 }),
  task: new Resource("", { pace: 250, poll: 1500, slow: 15_000 }),
  keys: new Resource("/keys", { poll: 5000, slow: 5000 }),
  cluster: new Resource("/cluster", { poll: 2000, slow: 2000 }),
  clusterTasks: new Resource("/cluster/tasks", { poll: 2000, slow: 2000 }),
};
// These are open to everyone, and asked for before somebody has signed in.
resources.status.isOpen = resources.health.isOpen = true;
resources.status.wanted = resources.health.wanted = true;

/** What each view shows besides what is always there. */
const NEEDS = {
  overview: ["daemons", "tasks", "logs"],
  task: ["task"],
  log: ["logs"],
  keys: ["keys"],
  cluster: [],
};

let view = "loading";
let session = { required: false, signedIn: false };

const live = new Live(Object.values(resources));
const changed = () => soon(render);
const overview = new Overview(resources);
const fleet = new Fleet(resources.daemons, changed);
const tasks = new Tasks(resources.tasks, (wanted, isStep) => go("", wanted, isStep));
const cluster = new Cluster(resources, (wanted, isStep) => go("cluster", wanted, isStep));
const task = new TaskPage(resources.task, live, changed);
const log = new Log(resources.logs, changed);
const keys = new Keys(resources.keys);
const notices = new Notices(resources, live);

// ------------------------------------------------------------------------------------------------------- where we are

function go(name, wanted, isStep) {
  const given = Object.entries(wanted).filter(([, value]) => value);
  const hash = given.length ? `#/${name}?${new URLSearchParams(given)}` : `#/${name}`;
  if (hash === location.hash) return;
  history[isStep ? "pushState" : "replaceState"](null, "", hash);
  route();
}

function parse(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [name, id] = path.split("/", 2);
  if (name === "tasks" && id) return { name: "task", id: decoded(id) };
  return { name: ["log", "keys", "cluster"].includes(name) ? name : "overview", query: new URLSearchParams(query) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function route() {
  if (!live.isOn) return;
  const { name, id, query } = parse(location.hash);
  const isOther = name !== view || name === "task";
  if (name === "overview") {
    tasks.route(query);
    byId("task-back").setAttribute("href", location.hash || "#/");
  }
  if (name === "cluster") cluster.route(query);
  if (name !== view) enter(name);
  task.route(name === "task" ? id : null);
  for (const link of byId("views").children) {
    const isHere = link.getAttribute("href") === (name === "overview" ? "#/" : `#/${name}`);
    link.toggleAttribute("aria-current", isHere);
    if (isHere) link.setAttribute("aria-current", "page");
  }
  if (isOther) setTitle();
  live.tick();
  changed();
}

const HEADINGS = { "sign-in": "token", refused: "refused-title", overview: "overview-title", task: "task-title", log: "log-title", keys: "keys-title", cluster: "cluster-title" };
let isFirst = true;

/** Shows a view, and has screen readers begin at its heading. */
function enter(name) {
  view = name;
  for (const section of document.querySelectorAll("main > .view")) section.hidden = section.id !== `view-${name}`;
  byId("loading").hidden = true;
  const isIn = name in NEEDS;
  byId("views").hidden = !isIn;
  byId("sign-out").hidden = !(isIn && session.required);
  for (const each of ["daemons", "tasks", "logs", "keys"]) {
    const isWanted = Boolean(NEEDS[name]?.includes(each));
    if (isWanted && !resources[each].wanted) resources[each].hurry();
    resources[each].wanted = isWanted;
  }
  if (!isFirst || name === "sign-in") byId(HEADINGS[name]).focus({ preventScroll: true });
  if (!isFirst) scrollTo(0, 0);
  isFirst = false;
  setTitle();
}

function setTitle() {
  const agent = resources.status.data?.agentName ?? "makima-relay";
  const words = { log: "Log", keys: "Keys", cluster: "Cluster", task: byId("task-title").textContent, "sign-in": "Sign in" }[view];
  document.title = words ? `${words} – ${agent}` : `${agent} – makima-relay`;
}

// -------------------------------------------------------------------------------------------------------- who may look

async function begin() {
  try {
    session = await ask("/session");
  } catch (error) {
    if (error instanceof Unreachable) {
      byId("loading").hidden = true;
      live.lose();
      return;
    }
    // Something in front of the relay may pass only some of its routes: what follows will say so.
  }
  if (session.required && !session.signedIn) enter("sign-in");
  else come();
}

function come() {
  live.start();
  route();
}

function leave(name) {
  live.stop();
  task.route(null);
  for (const each of ["daemons", "tasks", "logs", "task", "keys", "cluster", "clusterTasks"]) resources[each].reset();
  document.querySelector("dialog")?.close();
  enter(name);
}

byId("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.currentTarget.querySelector("button");
  const input = byId("token");
  button.disabled = true;
  setText(byId("sign-in-error"), "");
  try {
    await ask("/session", { method: "POST", body: { token: input.value } });
    input.value = "";
    button.disabled = false;
    session = { required: true, signedIn: true };
    come();
  } catch (error) {
    refuse(error, button, input);
  }
});

function refuse(error, button, input) {
  const trouble = byId("sign-in-error");
  if (error.status === 429) {
    waitWith(button, trouble, performance.now() + (error.retryAfter || 10) * 1000);
    return;
  }
  button.disabled = false;
  const isWrong = error.status === 401;
  setText(trouble, isWrong ? "This is not the token." : error instanceof Problem ? error.message : "The relay does not answer.");
  input.select();
  input.focus();
}

/** Who guessed too often may try again in a while. */
function waitWith(button, trouble, until) {
  const left = Math.ceil((until - performance.now()) / 1000);
  button.disabled = left > 0;
  setText(trouble, left > 0 ? `Too many wrong tokens from this address. Try again in ${left} s.` : "");
  if (left > 0) setTimeout(waitWith, 500, button, trouble, until);
}

byId("sign-out").addEventListener("click", async () => {
  try {
    await ask("/session", { method: "DELETE" });
  } catch (error) {
    if (error instanceof Unreachable) return live.lose();
  }
  session = { required: true, signedIn: false };
  return leave("sign-in");
});

// -------------------------------------------------------------------------------------------------------------- drawing

function render() {
  const status = resources.status.data;
  if (status !== null) {
    setText(byId("agent"), status.agentName);
    setText(byId("version"), `makima-relay ${status.version}`);
    show(byId("upstream-badge"), status.upstream.state, () => [h("span", { class: "hidden-text" }, "Makima server: "), upstreamBadge(status)]);
    setTitle();
  }
  byId("to-cluster").hidden = !status?.cluster;
  cluster.want(view === "cluster");
  notices.render();
  if (view === "overview") {
    overview.render();
    fleet.render();
    tasks.render();
    log.renderRecent();
  }
  if (view === "task") {
    task.render();
    setTitle();
  }
  if (view === "log") log.render();
  if (view === "keys") keys.render();
  if (view === "cluster") cluster.render();
}

/** What changes by itself: countdowns, and how long ago things were. */
function tick() {
  if (document.hidden) return;
  notices.tick();
  if (live.lostAt !== null) return;
  if (view === "overview") overview.tick();
  changed();
}

function refusedBy(resource) {
  if (resource.error?.status !== 403 || view === "refused") return;
  setText(byId("refused-detail"), resource.error.message);
  leave("refused");
}

for (const resource of Object.values(resources)) {
  resource.onChange(changed);
  resource.onChange(refusedBy);
}
live.addEventListener("stream", changed);
live.addEventListener("opened", () => task.opened());
live.addEventListener("reach", () => {
  changed();
  tick();
  // The relay has not answered since the page was loaded.
  if (live.lostAt === null && view === "loading") begin();
});
live.addEventListener("signedout", () => {
  session = { required: true, signedIn: false };
  leave("sign-in");
});
live.addEventListener("task", ({ detail }) => {
  tasks.heard(detail);
  task.heard(detail);
  resources.status.touch();
  changed();
});
live.addEventListener("daemon", ({ detail }) => {
  fleet.heard(detail);
  tasks.heardOfDaemon();
  task.heardOfDaemon();
  for (const each of ["status", "keys"]) resources[each].touch();
});
live.addEventListener("upstream", ({ detail }) => {
  const status = resources.status.data;
  if (status !== null && detail !== null) {
    const { upstream, upstreamConnected, status: word, ...rest } = detail;
    Object.assign(status, { upstream: { ...status.upstream, ...(upstream ?? rest) }, upstreamConnected, status: word });
  }
  resources.status.touch();
  changed();
});
live.addEventListener("log", ({ detail }) => log.heard(detail));
live.addEventListener("output", ({ detail }) => task.heardOutput(detail));

addEventListener("hashchange", route);
addEventListener("popstate", route);
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
setInterval(tick, 1000);
begin();
