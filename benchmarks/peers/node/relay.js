"use strict";
// A relay on Node's ws: what comes in one turn of the event loop goes upstream in one write (corking).
const WebSocket = require("ws");

const [serverPort, port, key] = process.argv.slice(2);
// Bytes that may wait for the server before daemons are not read any more, and until they are read again.
const HIGH = 4 << 20;
const LOW = 1 << 20;
const CLOSE_UNAUTHORIZED = 4401;

const upstream = new WebSocket(`ws://127.0.0.1:${serverPort}/ws/daemon`, { perMessageDeflate: false });
const daemons = new Set();
let corked = false;
let held = false;

function uncork() {
  corked = false;
  upstream._socket.uncork();
}

function forward(message) {
  if (!corked) {
    corked = true;
    upstream._socket.cork();
    setImmediate(uncork);
  }
  upstream.send(message, { binary: false });
  if (!held && upstream.bufferedAmount > HIGH) hold();
}

function hold() {
  held = true;
  for (const daemon of daemons) daemon.pause();
}

function release() {
  if (!held || upstream.bufferedAmount > LOW) return;
  held = false;
  for (const daemon of daemons) daemon.resume();
}

function accept(daemon) {
  let known = false;
  daemons.add(daemon);
  daemon.on("close", () => daemons.delete(daemon));
  daemon.on("message", (message) => {
    if (known) return forward(message);
    const hello = JSON.parse(message);
    if (hello.type !== "authenticate" || hello.apiKey !== key) return daemon.close(CLOSE_UNAUTHORIZED);
    known = true;
    daemon.send('{"type":"authenticated","daemonId":"d"}');
  });
}

upstream.on("open", () => {
  upstream._socket.on("drain", release);
  upstream.send(JSON.stringify({ type: "authenticate", apiKey: key, hostname: "node" }));
});
upstream.once("message", () => {
  const daemonsServer = new WebSocket.Server({
    host: "127.0.0.1",
    port: Number(port),
    path: "/ws/daemon",
    perMessageDeflate: false,
    backlog: 1024,
  });
  daemonsServer.on("connection", accept);
});
upstream.on("close", () => process.exit(1));
