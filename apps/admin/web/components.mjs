// Small pieces that every page uses.

import { html } from "htm/preact";
import { count, stateName, tone } from "./format.mjs";

const signs = { good: "●", done: "✓", wait: "◐", bad: "✕", idle: "○" };

/** A state with its colour, a sign for those who do not see colours, and its word. */
export function State({ state, as }) {
  const kind = as ?? tone(state);
  return html`<span class="state ${kind}"><span class="sign" aria-hidden="true">${signs[kind]}</span>${stateName(state)}</span>`;
}

export const Card = ({ title, note, children, wide, flush, dense }) => html`
  <section class="card ${wide ? "wide" : ""} ${flush ? "flush" : ""} ${dense ? "dense" : ""}">
    ${title && html`<header><h2>${title}</h2>${note && html`<span class="note">${note}</span>`}</header>`}
    ${children}
  </section>`;

export const Fact = ({ label, value, note, children }) => html`
  <div class="fact"><span class="label">${label}</span><span class="value">${value ?? children}</span>${note && html`<span class="note">${note}</span>`}</div>`;

/** What would be here, and how it comes. */
export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

/** That no agent is registered: there was none, or those that were do not answer. */
export function NoAgents({ unreachable }) {
  const start = html`<code>tepui agent --master ${location.host} --work-dir DIR</code>`;
  if (!unreachable) return html`<${Empty}>No agent is registered. Start one with ${start}.<//>`;
  return html`<${Empty}>No agent is registered: ${count(unreachable)} ${unreachable === 1 ? "is" : "are"} unreachable, having fallen silent.
    An agent comes back by itself when it runs and reaches a master; ${start} starts another one.<//>`;
}

export const Banner = ({ kind = "bad", children }) => html`<p class="banner ${kind}" role=${kind === "bad" ? "alert" : "status"}>${children}</p>`;

/** Why there is no answer, or none since `old` came. That nobody answers at all is told by the page's frame. */
export function Trouble({ error, old }) {
  if (!error || error.lost) return null;
  const { leader, message } = error;
  const said = old ? `What you see may be old: ${message}` : `${message.slice(0, 1).toUpperCase()}${message.slice(1)}`;
  return html`<${Banner}>${said}.${leader && html` <a href=${`//${leader}/${location.hash}`}>Look at ${leader}</a>`}<//>`;
}

/** A word as a shell takes it, whatever stands in it. */
const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/** The same by the command line, and by the API. A click takes the whole command. */
export const Also = ({ words, api }) => html`<p class="also">
  <span>as CLI</span> <code>${["tepui", ...words, "--master", location.host].map(quoted).join(" ")}</code>
  ${api && html`<a href=${api}>as API</a>`}
</p>`;

const percent = (part, whole) => `${whole > 0 ? Math.min(100, (100 * part) / whole) : 0}%`;

/** A share as a bar: used, and what is offered at this moment behind it. */
export const Bar = ({ used, offered = 0, total, label }) => html`
  <div class="bar" role="meter" aria-label=${label} aria-valuemin="0" aria-valuemax=${total} aria-valuenow=${used}>
    <span class="offered" style=${{ width: percent(used + offered, total) }}></span>
    <span class="used" style=${{ width: percent(used, total) }}></span>
  </div>`;

/**
 * A table. `columns`: `{ key, title, number, hint, cell(row), sort }`; one with `sort` gets a button in its head.
 * `stacked` ones show the last column of each row below the others where there is little room. `order` is `{ key, down }`; `onOrder(key)` is called by the button. `detail(row)`, where given, is shown below an open row.
 */
export function Table({ columns, rows, rowKey, order, onOrder, detail, open, onOpen, caption, stacked }) {
  const head = (column) => {
    const sorted = order?.key === column.key;
    const arrow = sorted ? (order.down ? " ↓" : " ↑") : "";
    return html`<th scope="col" class=${column.number ? "number" : ""} title=${column.hint} aria-sort=${sorted ? (order.down ? "descending" : "ascending") : undefined}>
      ${column.sort ? html`<button class="sort" onClick=${() => onOrder(column.key)}>${column.title}<span class="arrow" aria-hidden="true">${arrow}</span></button>` : column.title}
    </th>`;
  };
  const body = (row) => {
    const key = rowKey(row);
    const shown = detail && open === key;
    const cells = columns.map((column) => html`<td class=${column.number ? "number" : ""}>${column.cell(row)}</td>`);
    const toggle = () => {
      if (!getSelection()?.toString()) onOpen(shown ? null : key);
    };
    return html`
      <tr key=${key} class="${detail ? "openable" : ""} ${shown ? "open" : ""}" onClick=${detail && toggle}>${cells}</tr>
      ${shown && html`<tr key=${`${key} detail`} class="detail"><td colspan=${columns.length}>${detail(row)}</td></tr>`}`;
  };
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${caption}>
    <table class=${stacked ? "stacked" : ""}><caption class="hidden">${caption}</caption>
      <thead><tr>${columns.map(head)}</tr></thead>
      <tbody>${rows.map(body)}</tbody>
    </table>
  </div>`;
}
