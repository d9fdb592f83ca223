// Every mailbox of the master and its agents: who is busy, who is stuck, and on what.

import { html } from "htm/preact";
import { useEffect, useRef } from "preact/hooks";
import { signal } from "@preact/signals";
import { Banner, Bar, Card, Empty, State, Table } from "./components.mjs";
import { brief, count, micros, rate } from "./format.mjs";
import { follow } from "./live.mjs";
import { route, setQuery } from "./router.mjs";
import { useTitle } from "./title.mjs";

const LONG_MS = 1_000; // A message handled or waiting longer than this is worth a colour.

const actors = signal(null);
const open = signal(null);
const handlers = {
  actors(data) {
    actors.value = data;
  },
};

const kinds = { running: "good", starting: "wait", restarting: "wait", failed: "bad", stopped: "idle" };
const over = (row) => row.state === "stopped" || row.state === "failed";
const rowKey = (row) => `${row.node} ${row.id}`;
const loud = (isLoud, text) => (isLoud ? html`<strong class="loud">${text}</strong>` : text);
const percent = (value) => (value >= 0.05 ? `${value.toFixed(value < 10 ? 1 : 0)} %` : "0 %");

const Depth = ({ row }) => html`<div class="depth">
  <span>${loud(row.depth * 2 > row.capacity, count(row.depth))}<span class="of"> / ${count(row.capacity)}</span></span>
  <${Bar} used=${row.depth} total=${row.capacity} label=${`Messages waiting at ${row.actor}`} />
</div>`;

const Now = ({ row: { handling_now: now } }) =>
  now ? html`<span class="now">${now.message} ${loud(now.since_ms > LONG_MS, html`<span class="id">for ${brief(now.since_ms)}</span>`)}</span>` : html`<span class="id">idle</span>`;

const Name = ({ row }) => {
  const shown = open.value === rowKey(row);
  return html`<button class="opener" aria-expanded=${shown} onClick=${(event) => { event.stopPropagation(); open.value = shown ? null : rowKey(row); }}>
    <span class="caret" aria-hidden="true">${shown ? "▾" : "▸"}</span>${row.actor}</button>`;
};

const text = (key) => ({ key, sort: (row) => row[key] });
const figure = (key, title, show, hint) => ({ key, title, hint, number: true, sort: (row) => row[key] ?? -1, cell: (row) => show(row[key]) });

const columns = [
  { ...text("actor"), title: "Actor", cell: (row) => html`<${Name} row=${row} />` },
  { ...text("node"), title: "Node", cell: (row) => html`<span class="node" title=${row.node}>${row.node}</span>` },
  { ...text("state"), title: "State", cell: (row) => html`<${State} state=${row.state} as=${kinds[row.state]} />` },
  { key: "now", title: "Handling now", sort: (row) => row.handling_now?.since_ms ?? -1, cell: (row) => html`<${Now} row=${row} />` },
  { ...figure("depth", "Depth", count, "messages waiting, of what the mailbox holds"), cell: (row) => html`<${Depth} row=${row} />` },
  figure("oldest_age_ms", "Oldest", (value) => (value ? loud(value > LONG_MS, brief(value)) : "–"), "age of the oldest message that waits"),
  figure("in_per_s", "In/s", rate, "messages accepted a second"),
  figure("out_per_s", "Out/s", rate, "messages finished a second"),
  figure("wait_p50_us", "Wait p50", micros, "time in the mailbox, median"),
  figure("wait_p99_us", "p99", micros, "time in the mailbox, 99th percentile"),
  figure("handle_p50_us", "Handle p50", micros, "time of handling, median"),
  figure("handle_p99_us", "p99", micros, "time of handling, 99th percentile"),
  figure("busy_percent", "Busy", percent, "share of time in turns, last ten to twenty seconds"),
  figure("refused", "Refused", (value) => loud(value > 0, count(value)), "messages turned away at the bound, since the start"),
  figure("restarts", "Restarts", (value) => loud(value > 0, count(value)), "after panics, since the start"),
];

const messageColumns = [
  { key: "message", title: "Message", cell: (message) => html`<code>${message.message}</code>` },
  { key: "count", title: "Count", number: true, cell: (message) => count(message.count) },
  { key: "rate", title: "a second", number: true, cell: (message) => rate(message.per_s) },
  { key: "wait50", title: "Wait p50", number: true, cell: (message) => micros(message.wait_p50_us) },
  { key: "wait99", title: "p99", number: true, cell: (message) => micros(message.wait_p99_us) },
  { key: "handle50", title: "Handle p50", number: true, cell: (message) => micros(message.handle_p50_us) },
  { key: "handle99", title: "p99", number: true, cell: (message) => micros(message.handle_p99_us) },
];

const Detail = ({ row }) => html`<div class="breakdown">
  <dl>
    ${[
      ["Kind", row.kind], ["Thread", row.thread || "–"], ["Peak depth", count(row.peak)], ["Control waiting", count(row.control_depth)],
      ["Accepted", count(row.accepted)], ["Finished", count(row.finished)], ["Lost", count(row.lost)], ["Timers", count(row.timers)], ["Futures", count(row.futures)],
    ].map(([label, value]) => html`<div key=${label}><dt>${label}</dt><dd>${value}</dd></div>`)}
  </dl>
  ${row.last_panic && html`<${Banner}>Last panic: ${row.last_panic}<//>`}
  ${row.per_message.length
    ? html`<${Table} caption=${`Message types of ${row.actor}`} columns=${messageColumns} rows=${row.per_message} rowKey=${(message) => message.message} />`
    : html`<${Empty}>It has not handled a message yet.<//>`}
</div>`;

/** The order of the address; the deepest mailbox first where it says nothing. */
function orderOf(query) {
  const key = query.get("sort");
  const known = columns.some((column) => column.key === key);
  return { key: known ? key : "depth", down: !(known && query.get("order") === "up") };
}

function sorted(rows, { key, down }) {
  const by = columns.find((column) => column.key === key).sort;
  const compare = (left, right) => {
    const [one, other] = [by(left), by(right)];
    const difference = typeof one === "string" ? one.localeCompare(other) : one - other;
    return (down ? -difference : difference) || left.node.localeCompare(right.node) || left.id - right.id;
  };
  return rows.toSorted(compare);
}

function matches(row, filter) {
  const hay = `${row.node} ${row.actor} ${row.kind} ${row.state} ${row.thread} ${row.handling_now?.message ?? ""}`.toLowerCase();
  return filter.toLowerCase().split(/\s+/).every((word) => hay.includes(word));
}

function onOrder(key) {
  const order = orderOf(route.peek().query);
  const isText = ["actor", "node", "state"].includes(key);
  const down = order.key === key ? !order.down : !isText;
  setQuery({ sort: key, order: down ? "" : "up" });
}

export function Actors() {
  useTitle("Actors");
  useEffect(() => follow("actors", handlers), []);
  const { query } = route.value;
  const filter = query.get("q") ?? "";
  const ended = query.get("ended") === "yes";
  const order = orderOf(query);
  const data = actors.value;
  const all = data?.rows ?? [];
  const rows = sorted(all.filter((row) => (ended || row.state !== "stopped") && matches(row, filter)), order);
  const nodes = new Set(all.map((row) => row.node)).size;
  const note = `${count(rows.length)} of ${count(all.length)} mailboxes on ${count(nodes)} node${nodes === 1 ? "" : "s"}`;
  return html`
    <div class="title"><h1>Actors</h1><span class="note">${data && note}</span><${Tools} filter=${filter} ended=${ended} stopped=${all.filter(over).length} /></div>
    ${data?.agents_late && html`<${Banner} kind="wait">The agents' mailboxes did not arrive in time; only the master's are shown.<//>`}
    ${data?.agents_not_asked > 0 && html`<${Banner} kind="wait">The mailboxes of ${count(data.agents_not_asked)} more agents are not shown: only those that have been here longest are asked.<//>`}
    ${data?.omitted > 0 && html`<${Banner} kind="wait">${count(data.omitted)} mailboxes more than a page can hold are not shown.<//>`}
    <${Card} flush dense>
      ${!data && html`<${Empty}>Waiting for the first look at the mailboxes…<//>`}
      ${data && !rows.length && html`<${Empty}>${all.length ? "No mailbox matches the filter." : "No actor has a mailbox yet."}<//>`}
      ${rows.length > 0 && html`<${Table} caption="Mailboxes" columns=${columns} rows=${rows} rowKey=${rowKey} order=${order} onOrder=${onOrder}
        open=${open.value} onOpen=${(key) => { open.value = key; }} detail=${(row) => html`<${Detail} row=${row} />`} />`}
    <//>`;
}

const Tools = ({ filter, ended, stopped }) => {
  const box = useRef(null);
  useEffect(() => {
    const focus = (event) => {
      if (event.key !== "/" || event.target.matches("input, textarea")) return;
      event.preventDefault();
      box.current.focus();
    };
    addEventListener("keydown", focus);
    return () => removeEventListener("keydown", focus);
  }, []);
  return html`<div class="tools">
    <label><input type="checkbox" checked=${ended} onChange=${({ target }) => setQuery({ ended: target.checked ? "yes" : "" })} /> ended (${count(stopped)})</label>
    <input ref=${box} type="search" placeholder="Filter, press /" aria-label="Filter mailboxes" value=${filter} onInput=${({ target }) => setQuery({ q: target.value })} />
  </div>`;
};
