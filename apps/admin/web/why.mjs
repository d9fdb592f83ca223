// What stands between a framework and each agent: `tepui why` as a page. What is asked stands in the address.

import { html } from "htm/preact";
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { useAnswer } from "./answers.mjs";
import { Also, Banner, Card, Empty, NoAgents, State, Table, Trouble } from "./components.mjs";
import { clock, count, shortId } from "./format.mjs";
import { follow } from "./live.mjs";
import { route, setQuery } from "./router.mjs";
import { useTitle } from "./title.mjs";
import { heading, ofAgent, ofMachine, ofRole } from "./verdict.mjs";

const MAX_AGENTS = 100; // Told one by one; all are counted.
const MAX_NAMED = 10;

/** What the overview shows, read once a `round`: of it, the frameworks. Others are found by their whole id. */
function useCluster(round) {
  const cluster = useSignal(null);
  useEffect(() => {
    const stop = follow("overview", {
      overview(data) {
        cluster.value = data.cluster ?? {};
        stop();
      },
    });
    return stop;
  }, [round]);
  return cluster.value;
}

/** Those that may be meant: by the whole id, else by the name, the beginning of the id or its end behind the last dash. */
function meant(wanted, frameworks) {
  const exact = frameworks.filter(({ id }) => id === wanted);
  if (exact.length) return exact;
  const same = (word) => word.toLowerCase() === wanted.toLowerCase();
  return frameworks.filter(({ id, name }) => id.startsWith(wanted) || same(name) || (id.includes("-") && same(id.split("-").at(-1))));
}

function pathOf(framework, query) {
  const asked = new URLSearchParams({ framework_id: framework, limit: MAX_AGENTS });
  for (const key of ["role", "need"]) if (query.get(key)) asked.set(key, query.get(key));
  return `/tepui/v1/why?${asked}`;
}

function commandOf(framework, query) {
  const flags = ["role", "need"].filter((key) => query.get(key)).flatMap((key) => [`--${key}`, query.get(key)]);
  return ["why", framework || "FRAMEWORK", ...flags];
}

export function Why() {
  const round = useSignal(0);
  const cluster = useCluster(round.value);
  const frameworks = cluster && (cluster.frameworks?.rows ?? []);
  const { query } = route.value;
  const wanted = query.get("framework") ?? "";
  useTitle(wanted ? `Why ${wanted}` : "Why");
  const found = frameworks && wanted ? meant(wanted, frameworks) : [];
  // Of one that is not among them the master says what it is.
  const id = wanted && frameworks && found.length < 2 ? (found[0]?.id ?? wanted) : null;
  const path = id && pathOf(id, query);
  const { data, at_ms, error } = useAnswer(path, { round: round.value });
  return html`
    <div class="title"><h1>Why</h1><span class="note">what stands between a framework and each agent</span></div>
    <${Form} query=${query} frameworks=${frameworks ?? []} onAsk=${() => { round.value += 1; }} />
    ${found.length > 1 && html`<${Choice} query=${query} found=${found} />`}
    <${Trouble} error=${error} />
    ${!wanted && html`<${Empty}>Name a framework: its id, the beginning or the end of it, or its name. <code>tepui frameworks</code> lists them.<//>`}
    ${wanted && !data && !error && found.length < 2 && html`<${Empty}>Asking the allocator…<//>`}
    ${data && html`<${Answer} answer=${data} at_ms=${at_ms} unreachable=${cluster?.agents?.unreachable} />`}
    <${Also} words=${commandOf(id ?? wanted, query)} api=${path} />`;
}

const Choice = ({ query, found }) => html`<${Banner} kind="wait">‘${query.get("framework")}’ may be any of ${count(found.length)} frameworks:
  ${found.slice(0, MAX_NAMED).map(({ id, name }, at) => html`${at ? ", " : " "}<button key=${id} class="link" onClick=${() => setQuery({ framework: id })}>${id} (${name})</button>`)}
  ${found.length > MAX_NAMED && ` and ${count(found.length - MAX_NAMED)} more`}<//>`;

const fields = [
  { key: "framework", label: "Framework", placeholder: "id or name", list: "frameworks" },
  { key: "role", label: "Role", placeholder: "all its roles" },
  { key: "need", label: "Need", placeholder: "such as cpus:4;mem:512" },
];

function Form({ query, frameworks, onAsk }) {
  const values = () => Object.fromEntries(fields.map(({ key }) => [key, query.get(key) ?? ""]));
  const draft = useSignal(values());
  useEffect(() => {
    draft.value = values();
  }, [query.toString()]);
  const submit = (event) => {
    event.preventDefault();
    setQuery(Object.fromEntries(Object.entries(draft.value).map(([key, value]) => [key, value.trim()])));
    onAsk();
  };
  const field = ({ key, label, ...more }) => html`<label key=${key}><span>${label}</span>
    <input type="text" name=${key} autocomplete="off" spellcheck=${false} value=${draft.value[key]} onInput=${({ target }) => { draft.value = { ...draft.value, [key]: target.value }; }} ...${more} /></label>`;
  return html`<form class="card ask" onSubmit=${submit}>
    ${fields.map(field)}
    <datalist id="frameworks">${frameworks.map(({ id, name }) => html`<option key=${id} value=${id} label=${name}></option>`)}</datalist>
    <button type="submit">Ask</button>
  </form>`;
}

const columns = [
  { key: "agent", title: "Agent", cell: (agent) => html`<span class="name" title=${agent.hostname}>${agent.hostname}</span> <span class="id" title=${agent.agent_id}>${shortId(agent.agent_id)}</span>` },
  { key: "state", title: "Offered", cell: ({ causes }) => html`<${State} state=${causes.length ? "not now" : "in its turn"} as=${causes.length ? "wait" : "good"} />` },
  { key: "verdict", title: "What stands in the way", cell: (agent) => html`<ul class="verdict">${ofAgent(agent).map((sentence, at) => html`<li key=${at}>${sentence}</li>`)}</ul>` },
];

const Role = ({ role, unreachable }) => html`<${Card} title=${`Under role ${role.role}`} note=${role.agents.length < MAX_AGENTS ? "nearest miss first" : `nearest miss first; ${count(MAX_AGENTS)} agents are told one by one, all are counted`} flush>
  <ul class="sums">${ofRole(role).map((sentence, at) => html`<li key=${at} class=${at < role.bars.length ? "loud" : ""}>${sentence}</li>`)}</ul>
  ${role.agents.length
    ? html`<${Table} caption=${`Agents under role ${role.role}`} columns=${columns} rows=${role.agents} rowKey=${(agent) => agent.agent_id} stacked />`
    : html`<${NoAgents} unreachable=${unreachable} />`}
<//>`;

const Answer = ({ answer, at_ms, unreachable }) => html`
  <p class="asked">${heading(answer)} <span class="note">asked at ${clock(at_ms)}</span></p>
  ${answer.roles.map((role) => html`<${Role} key=${role.role} role=${role} unreachable=${unreachable} />`)}
  ${answer.machines_down.map((machine, at) => html`<${Banner} key=${at} kind="wait">${ofMachine(machine)}.<//>`)}`;
