// Talks to the relay: asks by fetch, hears by EventSource, and asks every few seconds where that is not to be had.

/** An error that the relay answered with. */
export class Problem extends Error {
  constructor(status, detail, retryAfter) {
    super(detail);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** The relay does not answer at all, or something in front of it does instead. */
export class Unreachable extends Error {}

const PATIENCE = 10_000;
let skew = 0;

/** The relay's time; the browser's clock may be wrong. */
export const now = () => Date.now() + skew;

function learnTime(response) {
  const date = Date.parse(response.headers.get("date") ?? "");
  if (Number.isNaN(date)) return;
  // The header has whole seconds: about half of one has passed since.
  const ahead = date + 500 - Date.now();
  skew = Math.abs(ahead) > 2000 ? ahead : 0;
}

async function problemOf(response) {
  const said = await response.json().catch(() => ({}));
  const retryAfter = Number(response.headers.get("retry-after")) || 0;
  return new Problem(response.status, said.detail ?? `the relay answered ${response.status}`, retryAfter);
}

/** Asks the relay; gives the JSON of its answer, or null where there is none. */
export async function ask(path, { method = "GET", body, takes = [] } = {}) {
  let response;
  try {
    response = await fetch(path, {
      method,
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: { accept: "application/json", ...(body === undefined ? {} : { "content-type": "application/json" }) },
      cache: "no-store",
      signal: AbortSignal.timeout(PATIENCE),
    });
  } catch (error) {
    throw new Unreachable(error.message);
  }
  learnTime(response);
  const isGateway = [502, 504].includes(response.status);
  if (isGateway) throw new Unreachable(`something in front of the relay answered ${response.status}`);
  if (!response.ok && !takes.includes(response.status)) throw await problemOf(response);
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch (error) {
    throw new Unreachable(error.message);
  }
}

/** Something that the relay knows and that is asked for again when it may have changed. */
export class Resource {
  /**
   * `path` is a text, or a function of nothing; `pace` is the least time between two questions, `poll` how often to
   * ask without events, `slow` with them: all in ms. `takes` are error statuses that are answers.
   */
  constructor(path, { pace = 1000, poll = 3000, slow = 30_000, takes = [] } = {}) {
    Object.assign(this, { path, pace, poll, slow, takes, data: null, error: null, wanted: false });
    this.listeners = [];
    this.reset();
  }

  /** Forgets what it knows: it is about something else now. */
  reset() {
    this.data = null;
    this.error = null;
    this.isDirty = true;
    this.askedAt = -Infinity;
    this.took = 0;
    this.round = (this.round ?? 0) + 1;
  }

  onChange(listener) {
    this.listeners.push(listener);
  }

  /** What it is about may have changed. */
  touch() {
    this.isDirty = true;
  }

  /** Ask as soon as possible. */
  hurry() {
    this.isDirty = true;
    this.askedAt = -Infinity;
  }

  changed() {
    for (const listener of this.listeners) listener(this);
  }

  isDue(hasEvents) {
    // What takes long to answer is asked for less often.
    const least = Math.max(this.pace, 8 * this.took);
    const age = performance.now() - this.askedAt;
    return this.isDirty ? age >= least : age >= Math.max(least, hasEvents ? this.slow : this.poll);
  }

  async ask() {
    const round = this.round;
    const begun = performance.now();
    this.askedAt = begun;
    this.isDirty = false;
    try {
      const data = await ask(typeof this.path === "function" ? this.path() : this.path, { takes: this.takes });
      if (round !== this.round) return;
      [this.data, this.error] = [data, null];
    } catch (error) {
      if (round !== this.round) return;
      if (error instanceof Unreachable) throw error;
      this.error = error;
    } finally {
      if (round === this.round) this.took = performance.now() - begun;
    }
    this.changed();
    if (this.error?.status === 401) throw this.error;
  }
}

const HIDDEN_FOR = 60_000;
const EVENTS_AGAIN = 30_000;
const NAMES = ["task", "daemon", "upstream", "log", "output", "reset"];

/** Keeps resources as fresh as it can, and tells what happens to whoever listens. */
export class Live extends EventTarget {
  constructor(resources) {
    super();
    this.resources = resources;
    this.output = null;
    this.isOn = false;
    this.source = null;
    this.isStreaming = false;
    this.lostAt = null;
    this.failures = 0;
    this.retryAt = 0;
    this.eventsAt = 0;
    this.asking = new Set();
    setInterval(() => this.tick(), 250);
    document.addEventListener("visibilitychange", () => this.looked());
  }

  start() {
    this.isOn = true;
    this.eventsAt = 0;
    for (const resource of this.resources) resource.reset();
    this.tick();
  }

  stop() {
    this.isOn = false;
    this.close();
  }

  /** Hears the output of a task besides, or of none. */
  listenTo(taskId) {
    if (this.output === taskId) return;
    this.output = taskId;
    this.hasNoOutput = false;
    this.close();
    this.eventsAt = 0;
  }

  looked() {
    clearTimeout(this.hiding);
    if (document.hidden) this.hiding = setTimeout(() => this.close(), HIDDEN_FOR);
    else for (const resource of this.resources) resource.touch();
  }

  tick() {
    if (this.lostAt !== null) {
      if (performance.now() >= this.retryAt) this.tryAgain();
      return;
    }
    for (const resource of this.resources) {
      const isWanted = resource.wanted && (this.isOn || resource.isOpen);
      if (isWanted && !document.hidden && !this.asking.has(resource) && resource.isDue(this.isStreaming)) this.ask(resource);
    }
    if (this.isOn && !this.source && !document.hidden && performance.now() >= this.eventsAt) this.open();
  }

  async ask(resource) {
    this.asking.add(resource);
    try {
      await resource.ask();
    } catch (error) {
      if (error instanceof Unreachable) this.lose();
      else if (error.status === 401 && this.isOn) this.tell("signedout");
    } finally {
      this.asking.delete(resource);
    }
  }

  lose() {
    if (this.lostAt === null) {
      this.lostAt = Date.now();
      this.failures = 0;
      this.close();
    }
    this.failures += 1;
    this.retryAt = performance.now() + Math.min(10, 2 ** (this.failures - 1)) * 1000;
    this.tell("reach");
  }

  /** Asks whether the relay is back. */
  async tryAgain() {
    this.retryAt = Infinity;
    try {
      await ask("/status");
    } catch (error) {
      if (error instanceof Unreachable) return this.lose();
    }
    this.lostAt = null;
    this.eventsAt = 0;
    for (const resource of this.resources) resource.hurry();
    this.tell("reach");
    return this.tick();
  }

  open() {
    const hasOutput = this.output !== null && !this.hasNoOutput;
    const source = new EventSource(hasOutput ? `/events?output=${encodeURIComponent(this.output)}` : "/events");
    this.source = source;
    source.onopen = () => {
      this.isStreaming = true;
      // What happened before is not told again.
      for (const resource of this.resources) resource.touch();
      this.tell("stream");
      this.tell("opened");
    };
    source.onerror = () => {
      this.isStreaming = false;
      if (source.readyState === EventSource.CLOSED) {
        this.close();
        // A relay that keeps no output may have events all the same.
        if (hasOutput) this.hasNoOutput = true;
        else this.eventsAt = performance.now() + EVENTS_AGAIN;
      }
      this.tell("stream");
    };
    for (const name of NAMES) source.addEventListener(name, (event) => this.heard(name, event));
  }

  heard(name, event) {
    let data = null;
    try {
      data = JSON.parse(event.data);
    } catch {
      if (name !== "reset") return;
    }
    if (name === "reset") for (const resource of this.resources) resource.touch();
    this.dispatchEvent(new CustomEvent(name, { detail: data }));
  }

  close() {
    this.source?.close();
    this.source = null;
    this.isStreaming = false;
    this.eventsAt = 0;
    this.tell("stream");
  }

  tell(name) {
    this.dispatchEvent(new Event(name));
  }
}
