// What is said above everything: what is wrong, whether what is shown is fresh, and what a screen reader should hear.

import { byId, h, setText, show } from "/static/dom.js";
import { clock } from "/static/format.js";
import { badge } from "/static/marks.js";

const FRESHNESS = {
  lost: ["no answer", "The relay does not answer"],
  live: ["live", "What happens is shown as it happens"],
  polling: ["each 2 s", "The relay is asked every 2 seconds"],
};
const UNWRITABLE =
  "The database cannot be written: the disk is full, or another program holds it. Nothing is taken until it can; the relay goes on by itself then.";
const FULL = "The outbox is full: daemons are held until the server has taken some reports. Nothing is lost.";

export class Notices {
  constructor(resources, live) {
    this.resources = resources;
    this.live = live;
    this.announced = null;
  }

  render() {
    this.announce(this.resources.status.data?.upstream.state);
    this.renderFreshness();
    const found = this.found();
    show(byId("banners"), found.map(([key]) => key).join(" "), () => found.map((each) => this.banner(...each)));
    document.body.classList.toggle("stale", this.live.lostAt !== null);
  }

  /** Tells screen readers of the one thing that matters wherever one is. */
  announce(state) {
    if (state === undefined) return;
    const word = state === "connected" ? "connected" : state === "gave_up" ? "given up" : "not connected";
    if (this.announced !== null && this.announced !== word) setText(byId("announcer"), `Makima server: ${word}`);
    this.announced = word;
  }

  renderFreshness() {
    const node = byId("liveness");
    const state = this.live.lostAt !== null ? "lost" : this.live.isStreaming ? "live" : "polling";
    const [word, about] = FRESHNESS[state];
    node.hidden = !this.live.isOn;
    node.title = about;
    show(node, state, () => badge(state, word));
  }

  found() {
    if (this.live.lostAt !== null) return [["lost", "bad", "The relay does not answer."]];
    const isUnwritable = this.resources.health.data?.healthy === false;
    const isFull = this.resources.status.data?.upstream.outboxHasRoom === false;
    return [...(isUnwritable ? [["health", "bad", UNWRITABLE]] : []), ...(isFull ? [["outbox", "warn", FULL]] : [])];
  }

  banner(key, tone, text) {
    const words = h("p", {}, h("b", {}, text));
    const node = h("div", { class: `banner ${tone}` }, words);
    if (key === "lost") {
      words.append(" ", h("span", { id: "retry", class: "figures", "aria-live": "off" }));
      node.append(h("button", { type: "button", onclick: () => this.live.tryAgain() }, "Try now"));
    }
    return node;
  }

  /** Counts down to the next attempt to reach the relay. */
  tick() {
    const retry = byId("retry");
    if (this.live.lostAt === null || retry === null) return;
    const left = Math.ceil((this.live.retryAt - performance.now()) / 1000);
    const next = Number.isFinite(left) && left > 0 ? `Trying again in ${left} s.` : "Trying again …";
    const isSomethingShown = this.resources.status.data !== null;
    setText(retry, isSomethingShown ? `${next} What is shown is as of ${clock(this.live.lostAt)}.` : next);
  }
}
