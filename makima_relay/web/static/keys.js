// Daemon keys: made, shown once, rotated, revoked.

import { confirm, copyable, open, toast, troubleWords } from "/static/dialogs.js";
import { byId, h, keyed, setText, show, table } from "/static/dom.js";
import { ago, fullTime, hostOf, millis, number, plural } from "/static/format.js";
import { ask, now } from "/static/relay.js";

const path = (name, rest = "") => `/keys/${encodeURIComponent(name)}${rest}`;

export class Keys {
  constructor(resource) {
    this.resource = resource;
    this.table = table("Daemon keys", [
      { name: "Name", kind: "wide" },
      { name: "Made", kind: "figures" },
      { name: "Last used" },
      { name: "Machines", kind: "figures" },
      { name: "Connected", kind: "figures" },
      { name: "Actions", hidden: true, kind: "action" },
    ]);
    byId("new-key").addEventListener("submit", (event) => {
      event.preventDefault();
      this.make(event.currentTarget);
    });
  }

  async make(form) {
    const button = form.querySelector("button");
    const name = byId("new-key-name").value;
    setText(byId("keys-error"), "");
    button.disabled = true;
    try {
      const made = await ask("/keys", { method: "POST", body: { name } });
      form.reset();
      button.disabled = false;
      byId("new-key-name").focus();
      this.showOnce(made, "New key");
    } catch (error) {
      setText(byId("keys-error"), troubleWords(error));
    }
    button.disabled = false;
    this.resource.hurry();
  }

  /** The only time that a key is seen; closing the dialog takes it off the page. */
  showOnce({ name, key }, title) {
    const done = h("button", { type: "button", class: "primary" }, "I have it");
    const dialog = open(
      `${title} “${name}”`,
      [
        h("p", {}, h("b", {}, "This key is shown only now."), " The relay keeps nothing but a hash of it. Put it where the daemon finds its API key."),
        copyable(key, "The key"),
      ],
      [done],
    );
    done.addEventListener("click", () => dialog.close());
  }

  render() {
    const { data, error } = this.resource;
    if (error !== null) setText(byId("keys-error"), error.message);
    if (data === null) return;
    show(byId("keys"), data.keys.length ? "table" : "none", () =>
      data.keys.length
        ? this.table.node
        : h("p", { class: "empty" }, h("b", {}, "There are no keys."), " If there never was one, daemons present the server’s API key. If all are revoked, no daemon can join."),
    );
    keyed(this.table.body, data.keys, (each) => each.name, (each) => this.row(each));
  }

  row({ name }) {
    const older = h("span", { class: "small sub note" });
    const used = h("span", { class: "figures" });
    const from = h("span", { class: "muted small sub" });
    const rotate = h("button", { type: "button", class: "quiet", "aria-label": `Rotate ${name}` }, "Rotate …");
    const revoke = h("button", { type: "button", class: "quiet danger", "aria-label": `Revoke ${name}` }, "Revoke …");
    const cells = this.table.cells();
    cells[0].append(h("span", { class: "name" }, name), older);
    cells[2].append(used, from);
    cells[5].append(rotate, revoke);
    const row = { node: h("tr", { role: "row" }, cells), key: null };
    rotate.addEventListener("click", () => this.rotate(name));
    revoke.addEventListener("click", () => this.revoke(row.key));
    row.update = (key) => {
      row.key = key;
      setText(older, key.olderKeysUntil ? `its older key is taken until ${fullTime(key.olderKeysUntil)}` : "");
      setText(cells[1], ago(now() - millis(key.createdAt)));
      cells[1].title = fullTime(key.createdAt);
      setText(used, key.lastUsedAt ? ago(now() - millis(key.lastUsedAt)) : "never");
      cells[2].title = fullTime(key.lastUsedAt);
      setText(from, hostOf(key.lastAddress));
      setText(cells[3], number(key.machines));
      setText(cells[4], number(key.connected));
    };
    return row;
  }

  rotate(name) {
    confirm({
      title: `Rotate “${name}”?`,
      text: ["A further key is made under the same name. The older one is taken for a while still, so that its daemons can be given the new one."],
      action: "Make a further key",
      run: () => ask(path(name, "/rotate"), { method: "POST" }),
      after: (made) => {
        this.resource.hurry();
        this.showOnce(made, "Further key");
      },
    });
  }

  revoke({ name, connected }) {
    const now_ = connected ? `${plural(connected, "daemon")} that use it now ${connected === 1 ? "is" : "are"} disconnected.` : "Nobody is connected with it now.";
    confirm({
      title: `Revoke “${name}”?`,
      text: [`All keys of this name are taken no more. ${now_} It cannot be undone.`],
      action: "Revoke",
      isDangerous: true,
      run: () => ask(path(name), { method: "DELETE" }),
      after: () => {
        toast(`“${name}” is revoked.`);
        this.resource.hurry();
      },
    });
  }
}
