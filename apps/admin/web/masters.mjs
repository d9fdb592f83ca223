// The masters of the group: who leads, how far each is, and which one of them serves this page.

import { html } from "htm/preact";
import { useEffect } from "preact/hooks";
import { NOBODY, useAnswer } from "./answers.mjs";
import { Also, Banner, Card, Empty, State, Table, Trouble } from "./components.mjs";
import { count } from "./format.mjs";
import { GROUP_PATH, group, learn } from "./group.mjs";
import { connection } from "./live.mjs";
import { useTitle } from "./title.mjs";

const EVERY_MS = 2_000;

const kinds = { leader: "good", follower: "done", candidate: "wait", learner: "wait", joining: "wait", leaving: "idle", unknown: "bad" };

const Name = ({ member, cluster }) => html`<strong class="name" title=${member.name}>${member.name}</strong>
  ${member.name === cluster.leader && html` <span class="tag">leads</span>`}
  ${member.name === cluster.answered_by && html` <span class="tag">serves this page</span>`}`;

const columns = (cluster) => [
  { key: "name", title: "Master", cell: (member) => html`<${Name} member=${member} cluster=${cluster} />` },
  { key: "id", title: "ID", number: true, cell: (member) => member.id },
  { key: "role", title: "Role", cell: (member) => html`<${State} state=${member.role} as=${kinds[member.role] ?? "idle"} />` },
  { key: "term", title: "Term", number: true, cell: (member) => count(member.term) },
  { key: "applied", title: "Applied", number: true, hint: "the last entry of the log that its registry holds", cell: (member) => count(member.applied_index) },
  { key: "lag", title: "Lag", number: true, hint: "entries it is behind what is committed", cell: (member) => count(member.lag) },
  { key: "reachable", title: "Reachable", cell: (member) => html`<${State} state=${member.reachable ? "yes" : "no"} as=${member.reachable ? "good" : "bad"} />` },
  { key: "bridge", title: "Bridge", cell: (member) => member.address ?? "–" },
  { key: "http", title: "HTTP", cell: (member) => (member.http ? html`<a href=${`//${member.http}/admin/index.html#/masters`}>${member.http}</a>` : "–") },
  { key: "disk", title: "Disk", hint: "which directory it keeps its log in; another one is another master", cell: (member) => (member.disk ? html`<code title=${member.disk}>${member.disk.split("-", 1)[0]}</code>` : "–") },
];

function sentence({ leader, term, cluster_id: id, answered_by: by }) {
  const leads = leader ? `${leader} leads in term ${term}` : "nobody leads";
  return `${leads}; cluster ${id ?? "–"}, as ${by} sees it`;
}

export function Masters() {
  useTitle("Masters");
  const { data, error } = useAnswer(GROUP_PATH, { every_ms: EVERY_MS });
  useEffect(() => {
    if (data) learn(data);
  }, [data]);
  const silent = connection.value.state === "broken";
  const shown = data ?? (silent ? group.value : null);
  const away = data?.members.filter((member) => !member.reachable) ?? [];
  return html`
    <div class="title"><h1>Masters</h1><span class="note">${shown && `${data ? "" : "before it fell silent: "}${sentence(shown)}`}</span></div>
    <${Trouble} error=${error} old=${data} />
    ${data && !data.leader && html`<${Banner}>Nobody leads: ${NOBODY}.<//>`}
    ${away.map((member) => html`<${Banner} key=${member.id} kind="wait">${member.name} cannot be reached: ${member.trouble ?? "it does not answer"}.<//>`)}
    ${!data && !error && !silent && html`<${Empty}>Asking this master for the group…<//>`}
    ${silent && !shown && html`<${Empty}>This master did not answer yet, so this page knows no other one.<//>`}
    ${shown && html`<${Card} flush>
      ${shown.members.length
        ? html`<${Table} caption="Masters" columns=${columns(shown)} rows=${shown.members} rowKey=${(member) => member.id} />`
        : html`<${Empty}>This master is in no group. Others join by <code>tepui cluster add NAME=HOST:PORT</code>.<//>`}
    <//>`}
    <${Also} words=${["cluster", "status"]} api=${GROUP_PATH} />`;
}
