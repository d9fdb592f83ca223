// Numbers, times and states as people read them. Pure functions; every number is one of the machine's, every text ends up as text.

const dash = "–";
const known = (value) => typeof value === "number" && Number.isFinite(value);

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const oneDigit = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });

export const count = (value) => (known(value) ? whole.format(value) : dash);
export const scalar = (value) => (known(value) ? short.format(value) : dash);

/** Messages a second: one digit below ten, none above. */
export function rate(value) {
  if (!known(value)) return dash;
  if (value === 0) return "0";
  return value < 10 ? oneDigit.format(value) : whole.format(value);
}

/** A duration in microseconds, with its unit. */
export function micros(value) {
  if (!known(value) || value === 0) return dash;
  if (value < 1) return `${Math.round(value * 1000)} ns`;
  if (value < 10) return `${oneDigit.format(value)} µs`;
  if (value < 1000) return `${whole.format(value)} µs`;
  return brief(value / 1000);
}

/** A duration in milliseconds for a narrow column: seconds from one second on. */
export const brief = (value) => (known(value) && value >= 1000 && value < 10_000 ? `${oneDigit.format(value / 1000)} s` : millis(value));

/** A duration in milliseconds, with its unit: milliseconds stay visible up to ten seconds. */
export function millis(value) {
  if (!known(value)) return dash;
  if (value < 10) return `${short.format(value)} ms`;
  if (value < 10_000) return `${whole.format(value)} ms`;
  if (value < 120_000) return `${oneDigit.format(value / 1000)} s`;
  if (value < 7_200_000) return `${whole.format(value / 60_000)} min`;
  if (value < 172_800_000) return `${whole.format(value / 3_600_000)} h`;
  return `${whole.format(value / 86_400_000)} d`;
}

/** How long ago, for a table. */
export function ago(at_ms, now_ms) {
  if (!known(at_ms)) return dash;
  const age = Math.floor(Math.max(0, now_ms - at_ms) / 1000);
  if (age === 0) return "now";
  return age < 120 ? `${age} s ago` : `${millis(age * 1000)} ago`;
}

/** Local time of day with milliseconds. */
export function clock(at_ms) {
  if (!known(at_ms)) return dash;
  const at = new Date(at_ms);
  const two = (part) => String(part).padStart(2, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

/** The whole date and time, for a tooltip. */
export const moment = (at_ms) => (known(at_ms) ? new Date(at_ms).toISOString() : "");

/** Mebibytes, as Mesos counts memory and disk. */
export function mebibytes(value) {
  if (!known(value)) return dash;
  if (value >= 1024 * 1024) return `${short.format(value / 1024 / 1024)} TiB`;
  if (value >= 1024) return `${short.format(value / 1024)} GiB`;
  return `${short.format(value)} MiB`;
}

export function bytes(value) {
  if (!known(value)) return dash;
  if (value >= 1024 * 1024) return mebibytes(value / 1024 / 1024);
  return value >= 1024 ? `${oneDigit.format(value / 1024)} KiB` : `${value} B`;
}

/** `TASK_RUNNING` as `running`. */
export const stateName = (state) => (state ?? "").replace(/^TASK_/, "").replaceAll("_", " ").toLowerCase();

const tones = {
  running: "good", finished: "done", staging: "wait", starting: "wait", killing: "wait", restarting: "wait",
  failed: "bad", error: "bad", lost: "bad", dropped: "bad", unreachable: "bad", gone: "bad", "gone by operator": "bad",
};

/** Which colour and sign a state has: good, done, wait, bad or idle. */
export const tone = (state) => tones[stateName(state)] ?? "idle";

// Control characters but the newline and the tab; direction marks, embeddings, overrides and isolates.
const misleading = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Without what changes more of a line than the next character, as the command line prints it. */
export const printable = (text) => text.replace(misleading, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** An id without its long common beginning. */
export function shortId(id) {
  const text = id ?? "";
  return text.length > 22 ? `…${text.slice(-14)}` : text;
}
