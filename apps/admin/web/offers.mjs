// The ledger of offers: who sits on them, which stand, and how the last ones ended.

import { html } from "htm/preact";
import { useAnswer } from "./answers.mjs";
import { Also, Card, Empty, State, Table, Trouble } from "./components.mjs";
import { brief, count, mebibytes, scalar, shortId } from "./format.mjs";
import { whyHref } from "./router.mjs";
import { useTitle } from "./title.mjs";

const MAX_ROWS = 100; // Of each table; the endpoint counts the offers that stand, no more.
const PATH = `/tepui/v1/offers?limit=${MAX_ROWS}`;
const EVERY_MS = 2_000;

const seconds = (value) => brief(typeof value === "number" ? value * 1_000 : undefined);

/** As the overview and a task's page show them; what else there is comes behind, by its name. */
function amounts({ cpus, mem, disk, ...more }) {
  const rest = Object.entries(more).map(([name, value]) => `${scalar(value)} ${name}`);
  return [cpus && `${scalar(cpus)} cpu`, mem && mebibytes(mem), disk && `${mebibytes(disk)} disk`, ...rest].filter(Boolean).join(" · ") || "–";
}

const Framework = ({ id, name }) => html`<a class="name" href=${whyHref(id)} title=${`Why is ${name ?? id} not offered more? ${id}`}>${name || shortId(id)}</a> <span class="id" title=${id}>${shortId(id)}</span>`;
const framework = { key: "framework", title: "Framework", cell: (row) => html`<${Framework} id=${row.framework_id} name=${row.framework} />` };
const figure = (key, title, show, hint) => ({ key, title, hint, number: true, cell: (row) => show(row[key]) });

const holderColumns = [
  framework,
  figure("standing", "Holds", count, "offers it has not answered"),
  figure("oldest_secs", "Oldest", seconds),
  figure("share_secs", "Share × age", seconds, "part of the cluster in its offers, times how long it lies there"),
  figure("sent", "Sent", count),
  figure("accepted", "Accepted", count),
  figure("declined", "Declined", count),
  figure("rescinded", "Rescinded", count),
  figure("lost", "Lost", count),
  figure("mean_held_secs", "Mean held", seconds),
];

const about = [
  { key: "id", title: "Offer", cell: (offer) => html`<span class="id" title=${offer.id}>${shortId(offer.id)}</span>` },
  framework,
  { key: "role", title: "Role", cell: (offer) => html`<span class="name" title=${offer.role}>${offer.role ?? "–"}</span>` },
  { key: "agent", title: "Agent", cell: (offer) => html`<span class="name" title=${offer.hostname}>${offer.hostname}</span> <span class="id" title=${offer.agent_id}>${shortId(offer.agent_id)}</span>` },
  { key: "resources", title: "Resources", cell: (offer) => amounts(offer.resources) },
];

const openColumns = [...about, figure("age_secs", "Age", seconds)];

const ends = { ACCEPTED: "done", DECLINED: "idle", RESCINDED: "wait", LOST: "bad" };
const endedColumns = [
  ...about,
  { key: "end", title: "End", cell: (offer) => html`<${State} state=${offer.end} as=${ends[offer.end] ?? "idle"} />` },
  figure("held_secs", "Held", seconds),
  figure("refused_secs", "Refused for", seconds, "how long the framework does not want it again"),
];

const List = ({ title, note, rows, columns, rowKey, children }) => html`<${Card} title=${title} note=${note} flush>
  ${rows.length ? html`<${Table} caption=${title} columns=${columns} rows=${rows} rowKey=${rowKey} />` : html`<${Empty}>${children}<//>`}
<//>`;

/** What is said of a list whose whole length nobody tells. */
const first = (rows, what) => (rows.length < MAX_ROWS ? what : `${what}; only ${count(MAX_ROWS)} are shown, there may be more`);

function standing({ offers, standing: all }) {
  const more = all - offers.length;
  return more > 0 ? `oldest first, ${count(more)} more are not shown` : "oldest first";
}

const byId = (offer) => offer.id;

export function Offers() {
  useTitle("Offers");
  const { data, error } = useAnswer(PATH, { every_ms: EVERY_MS });
  return html`
    <div class="title"><h1>Offers</h1><span class="note">${data && `${count(data.standing)} stand`}</span></div>
    <${Trouble} error=${error} old=${data} />
    ${!data && !error && html`<${Empty}>Asking the master for its offers…<//>`}
    ${data && html`
      <${List} title="Who holds offers" note=${first(data.holders, "most of the cluster for longest first")} rows=${data.holders} columns=${holderColumns} rowKey=${(holder) => holder.framework_id}>
        No framework was offered anything since this master leads. <code>tepui run -- CMD</code> subscribes one.<//>
      <${List} title="Outstanding" note=${standing(data)} rows=${data.offers} columns=${openColumns} rowKey=${byId}>
        No offer stands. <a href="#/why">Why</a> tells what keeps a framework from the next one.<//>
      <${List} title="The last that ended" note=${first(data.ended, "newest first")} rows=${data.ended} columns=${endedColumns} rowKey=${byId}>
        No offer has ended since this master leads.<//>`}
    <${Also} words=${["offers", "--history"]} api=${PATH} />`;
}
