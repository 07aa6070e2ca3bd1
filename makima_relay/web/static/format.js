// Numbers, times and texts as people read them.

const NUMBER = new Intl.NumberFormat("en");
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const FULL = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" });

export const number = (value) => NUMBER.format(value);
/** So many in a second; with a fraction where that says something. */
export const rate = (value) => NUMBER.format(value < 10 ? Math.round(value * 10) / 10 : Math.round(value));
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
export const millis = (at) => (at ? Date.parse(at) : null);
export const fullTime = (at) => (at ? FULL.format(new Date(at)) : "");

/** An address without its port, which means nothing to anybody. */
export const hostOf = (address) => (address ?? "").replace(/:\d+$/, "");

/** A time of day; with the date if it was not within the last day. */
export function clock(at, now = Date.now()) {
  const then = new Date(at);
  return Math.abs(now - then) < 20 * 3600e3 ? CLOCK.format(then) : DAY.format(then);
}

const pair = (most, mostUnit, rest, restUnit) => (rest ? `${most} ${mostUnit} ${rest} ${restUnit}` : `${most} ${mostUnit}`);

/** How long something took, from milliseconds; in at most two units. */
export function duration(ms) {
  if (ms < 0) ms = 0;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  return coarse(ms);
}

/** The same without fractions, for what is counted while one looks. */
export function coarse(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return pair(Math.floor(seconds / 60), "min", seconds % 60, "s");
  if (seconds < 86400) return pair(Math.floor(seconds / 3600), "h", Math.floor((seconds % 3600) / 60), "min");
  return pair(Math.floor(seconds / 86400), "d", Math.floor((seconds % 86400) / 3600), "h");
}

/** How long ago something was, in one unit. */
export function ago(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 2) return "now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

export function bytes(count) {
  if (count < 1024) return `${count} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(units.length, Math.floor(Math.log2(count) / 10));
  return `${(count / 1024 ** power).toFixed(1)} ${units[power - 1]}`;
}

const SEQUENCES = new RegExp(
  [
    "\\x1b\\[[0-?]*[ -/]*[@-~]", // CSI: colours, the cursor
    "\\x1b\\][^\\x07\\x1b]*(?:\\x07|\\x1b\\\\)", // OSC: titles, links
    "\\x1b[PX^_][^\\x1b]*\\x1b\\\\", // DCS, SOS, PM, APC
    "\\x1b[ -/]*[0-Z\\\\^-~]", // the short ones
    "\\x9b[0-?]*[ -/]*[@-~]", // CSI in one character
  ].join("|"),
  "g",
);
// A sequence that has begun and may end in what comes next.
const BEGUN = /\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|[PX^_][^\x1b]*\x1b?|[ -/]*)$/;
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;
const LONGEST_SEQUENCE = 4096;

/** Takes terminal output apart: `text` to show, and `rest`, which belongs before what comes next. */
export function plain(output) {
  const begun = BEGUN.exec(output);
  const isOpen = begun !== null && begun[0].length <= LONGEST_SEQUENCE;
  const whole = isOpen ? output.slice(0, begun.index) : output;
  const text = whole.replace(SEQUENCES, "").replace(/\r+\n/g, "\n").replace(/\r/g, "\n").replace(CONTROLS, "");
  return { text, rest: isOpen ? begun[0] : "" };
}
