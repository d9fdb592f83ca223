// The cluster at a glance.

import { html } from "htm/preact";
import { useEffect } from "preact/hooks";
import { signal } from "@preact/signals";
import { Banner, Bar, Card, Empty, Fact, NoAgents, State, Table } from "./components.mjs";
import { Chart } from "./chart.mjs";
import { ago, clock, count, mebibytes, moment, rate, scalar, shortId, tone } from "./format.mjs";
import { NotLeading } from "./group.mjs";
import { follow, serverNow } from "./live.mjs";
import { taskHref, whyHref } from "./router.mjs";
import { clusterName, useTitle } from "./title.mjs";

const MAX_POINTS = 600; // As many as the server keeps: ten minutes.
const GAP_MS = 5_000; // Nobody watched: the line is broken there.

const overview = signal(null);
const points = signal([]);

function addPoint(point) {
  const last = points.peek().at(-1);
  const gap = last && point.at_ms - last.at_ms > GAP_MS ? [{ at_ms: last.at_ms + 1, running: null, messages_per_s: null }] : [];
  points.value = [...points.peek(), ...gap, point].slice(-MAX_POINTS);
}

const handlers = {
  history(history) {
    points.value = [];
    history.forEach(addPoint);
  },
  overview(data) {
    overview.value = data;
    clusterName.value = data.cluster_name;
    addPoint(data.point);
  },
};

export function Overview() {
  useTitle("Overview");
  useEffect(() => follow("overview", handlers), []);
  const data = overview.value;
  if (!data) return html`<${Empty}>Waiting for the first look at the cluster…<//>`;
  // What one that does not lead tells is a cluster of nothing.
  const cluster = data.leads ? data.cluster : null;
  return html`
    <h1 class="hidden">Overview</h1>
    ${!data.leads && html`<${NotLeading} />`}
    ${data.error && html`<${Banner}>What you see may be old: ${data.error}.<//>`}
    <${Totals} ...${cluster} point=${data.point} />
    ${cluster && html`
      <div class="grid">
        <${Card} title="Activity" note="last ten minutes, while somebody watched" wide><${Chart} points=${points} /><//>
        <${Card} title="Resources" note="used · offered · total"><${Resources} resources=${cluster.resources} /><//>
        <${Card} title="Tasks by state"><${States} tasks=${cluster.tasks} /><//>
      </div>
      <${Recent} rows=${cluster.recent} tasks=${cluster.tasks} />
      <${Frameworks} ...${cluster.frameworks} />
      <${Agents} ...${cluster.agents} />`}`;
}

const Totals = ({ agents, frameworks, tasks, point }) => html`<div class="totals">
  <${Fact} label="Agents" value=${count(agents?.active)} note=${agents && (agents.unreachable ? `${count(agents.unreachable)} unreachable` : active(agents, "registered"))} />
  <${Fact} label="Frameworks" value=${count(frameworks?.active)} note=${frameworks && active(frameworks, "subscribed")} />
  <${Fact} label="Tasks running" value=${count(tasks?.running)} note=${tasks && onTheirWay(tasks)} />
  <${Fact} label="Messages a second" value=${rate(point.messages_per_s)} note="handled by this master's actors" />
</div>`;

function active({ active, total }, known) {
  if (!total) return `none ${known}`;
  return active === total ? "all active" : `of ${count(total)} active`;
}

function onTheirWay({ staging, starting }) {
  const waiting = staging + starting;
  return waiting ? `${count(waiting)} on their way` : "none on their way";
}

const names = { cpus: "CPU", mem: "Memory", disk: "Disk" };
const amount = (name, value) => (name === "cpus" ? scalar(value) : mebibytes(value));

const Resources = ({ resources }) => html`<div class="resources">
  ${Object.entries(resources).map(([name, { used, offered, total }]) => html`<div key=${name}>
    <div class="line"><span>${names[name]}</span><span class="figures">${amount(name, used)} · ${amount(name, offered)} · ${amount(name, total)}</span></div>
    <${Bar} used=${used} offered=${offered} total=${total} label=${`${names[name]} used`} />
  </div>`)}
</div>`;

const always = ["staging", "starting", "running", "killing", "finished", "failed", "killed", "lost"];

const States = ({ tasks }) => html`<dl class="states">
  ${Object.entries(tasks).filter(([state, number]) => number > 0 || always.includes(state)).map(([state, number]) => html`
    <div key=${state} class=${number ? "" : "none"}><dt><${State} state=${state} as=${tone(state.replaceAll("_", " "))} /></dt><dd>${count(number)}</dd></div>`)}
</dl>`;

const taskColumns = [
  { key: "task", title: "Task", cell: (task) => html`<a class="name" title=${task.name || task.id} href=${taskHref(task.framework_id, task.id)}>${task.name || task.id}</a>${task.name && task.name !== task.id && html` <span class="id" title=${task.id}>${shortId(task.id)}</span>`}` },
  { key: "state", title: "State", cell: (task) => html`<${State} state=${task.state} />` },
  { key: "framework", title: "Framework", cell: (task) => html`<span class="name" title=${task.framework ? `${task.framework} ${task.framework_id}` : task.framework_id}>${task.framework ?? shortId(task.framework_id)}</span>` },
  { key: "agent", title: "Agent", cell: (task) => task.agent ?? "–" },
  { key: "started", title: "Started", number: true, cell: (task) => html`<span title=${moment(task.started_ms)}>${clock(task.started_ms)}</span>` },
  { key: "updated", title: "Last update", number: true, cell: (task) => html`<span title=${moment(task.updated_ms)}>${ago(task.updated_ms, serverNow.value)}</span>` },
];

const MAX_RECENT = 60; // As many as the server sends; of fewer the others are forgotten.

function more(rows, tasks) {
  const all = Object.values(tasks).reduce((sum, number) => sum + number, 0);
  if (rows.length < MAX_RECENT || all <= rows.length) return "";
  return html`${count(rows.length)} newest of ${count(all)}; <code>tepui ps --master ${location.host}</code> lists what the master remembers`;
}

const Recent = ({ rows, tasks }) => html`<${Card} title="Recent tasks" note=${more(rows, tasks)} flush>
  ${rows.length
    ? html`<${Table} caption="Recent tasks" columns=${taskColumns} rows=${rows} rowKey=${(task) => `${task.framework_id} ${task.id}`} />`
    : html`<${Empty}>No task has run since this master leads. Start one with <code>tepui run -- echo hello</code>.<//>`}
<//>`;

function frameworkState({ active, connected, recovered }) {
  if (active) return html`<${State} state="active" as="good" />`;
  if (connected) return html`<${State} state="inactive" as="idle" />`;
  return html`<${State} state=${recovered ? "recovered" : "disconnected"} as=${recovered ? "wait" : "bad"} />`;
}

const frameworkColumns = [
  { key: "name", title: "Framework", cell: (framework) => html`<span class="name" title=${framework.name}>${framework.name}</span> <span class="id" title=${framework.id}>${shortId(framework.id)}</span>` },
  { key: "state", title: "State", cell: frameworkState },
  { key: "roles", title: "Roles", cell: (framework) => framework.roles.join(", ") || "–" },
  { key: "user", title: "User", cell: (framework) => framework.user || "–" },
  { key: "waiting", title: "Staging", number: true, cell: (framework) => count(framework.waiting) },
  { key: "running", title: "Running", number: true, cell: (framework) => count(framework.running) },
  { key: "cpus", title: "CPU", number: true, cell: (framework) => scalar(framework.cpus) },
  { key: "mem", title: "Memory", number: true, cell: (framework) => mebibytes(framework.mem) },
  { key: "why", title: "Offers", cell: (framework) => html`<a href=${whyHref(framework.id)} title="What stands between it and each agent" aria-label=${`Why ${framework.name} is not offered more`}>why?</a>` },
];

const Frameworks = ({ rows, omitted }) => html`<${Card} title="Frameworks" note=${omitted ? `${count(omitted)} more are not shown` : ""} flush>
  ${rows.length
    ? html`<${Table} caption="Frameworks" columns=${frameworkColumns} rows=${rows} rowKey=${(framework) => framework.id} />`
    : html`<${Empty}>No framework is subscribed. A Mesos framework connects to this address; <code>tepui run -- CMD</code> is one too.<//>`}
<//>`;

function agentState({ active, deactivated, drain }) {
  if (active) return html`<${State} state="active" as="good" />`;
  if (drain) return html`<${State} state=${drain.toLowerCase()} as=${drain === "DRAINING" ? "wait" : "idle"} />`;
  return html`<${State} state=${deactivated ? "deactivated" : "disconnected"} as=${deactivated ? "idle" : "bad"} />`;
}

const shareCell = (name) => (agent) => html`<div class="share"><${Bar} ...${agent[name]} label=${`${names[name]} of ${agent.hostname} used`} /><span>${amount(name, agent[name].used)} / ${amount(name, agent[name].total)}</span></div>`;

const agentColumns = [
  { key: "hostname", title: "Agent", cell: (agent) => html`${agent.hostname} <span class="id" title=${agent.id}>${agent.address ?? shortId(agent.id)}</span>${agent.shortcoming && html`<div class="shortcoming">${agent.shortcoming}</div>`}` },
  { key: "state", title: "State", cell: agentState },
  { key: "running", title: "Running", number: true, cell: (agent) => count(agent.running) },
  { key: "cpus", title: "CPU", cell: shareCell("cpus") },
  { key: "mem", title: "Memory", cell: shareCell("mem") },
  { key: "disk", title: "Disk", cell: shareCell("disk") },
  { key: "registered", title: "Registered", number: true, cell: (agent) => html`<span title=${moment(agent.registered_ms)}>${ago(agent.registered_ms, serverNow.value)}</span>` },
];

const Agents = ({ rows, omitted, unreachable }) => html`<${Card} title="Agents" note=${omitted ? `${count(omitted)} more are not shown` : ""} flush>
  ${rows.length
    ? html`<${Table} caption="Agents" columns=${agentColumns} rows=${rows} rowKey=${(agent) => agent.id} />`
    : html`<${NoAgents} unreachable=${unreachable} />`}
<//>`;
