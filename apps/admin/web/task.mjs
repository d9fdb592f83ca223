// One task: its life with milliseconds, and what it writes.

import { html } from "htm/preact";
import { useAnswer } from "./answers.mjs";
import { Card, Empty, Fact, State, Trouble } from "./components.mjs";
import { clock, mebibytes, millis, moment, scalar, stateName, tone } from "./format.mjs";
import { NotLeading, followsHere } from "./group.mjs";
import { Output } from "./output.mjs";
import { useTitle } from "./title.mjs";

const EVERY_MS = 1_000;

export function Task({ framework, id }) {
  const path = `/admin/task/${encodeURIComponent(framework)}/${encodeURIComponent(id)}`;
  const { data: task, error } = useAnswer(path, { every_ms: EVERY_MS, isLast: (task) => task.ended });
  useTitle(task?.name || id);
  // One that follows has no tasks to tell of, and would call each forgotten.
  const elsewhere = error && !error.lost && followsHere();
  return html`
    <nav class="crumbs" aria-label="Breadcrumb"><a href="#/">Overview</a><span aria-hidden="true">/</span><span>Task</span></nav>
    <div class="title"><h1>${task?.name || id}</h1>${task && html`<${State} state=${task.state} />`}</div>
    ${elsewhere ? html`<${NotLeading} />` : html`<${Trouble} error=${error} old=${task} />`}
    ${task && html`
      <${Facts} task=${task} />
      <${Card} title="Life" note=${total(task)}><${Life} task=${task} /><//>
      <div class="outputs">
        <${Output} path=${`${path}/stdout`} name="stdout" ended=${task.ended} />
        <${Output} path=${`${path}/stderr`} name="stderr" ended=${task.ended} />
      </div>`}
    ${!task && !error && html`<${Empty}>Asking the master for this task…<//>`}`;
}

const Facts = ({ task }) => {
  const { cpus, mem, disk } = task.resources ?? {};
  return html`<div class="facts">
    <${Fact} label="Task"><code>${task.id}</code><//>
    <${Fact} label="Framework"><code>${task.framework_id}</code><//>
    <${Fact} label="Executor">${task.executor_id ? html`<code>${task.executor_id}</code>` : "command executor"}<//>
    <${Fact} label="Agent">${task.agent ? html`${task.agent.hostname} <span class="id">${task.agent.address}</span>` : "not connected"}<//>
    <${Fact} label="Role" value=${task.role ?? "*"} />
    <${Fact} label="Resources" value=${[cpus && `${scalar(cpus)} cpu`, mem && mebibytes(mem), disk && `${mebibytes(disk)} disk`].filter(Boolean).join(" · ") || "–"} />
  </div>`;
};

const span = (life, end_ms) => life.map((step, at) => ({ ...step, lasted_ms: Math.max(0, (life[at + 1]?.at_ms ?? end_ms) - step.at_ms) }));
const endOf = (task) => (task.ended ? task.life.at(-1)?.at_ms : task.at_ms);

function total(task) {
  if (!task.life.length) return "";
  const lasted = millis(endOf(task) - task.life[0].at_ms);
  return task.ended ? `${lasted} from the first update to the last` : `${lasted} since the first update`;
}

/** One stripe for the shares of time, one line for each update. */
const Life = ({ task }) => {
  if (!task.life.length) return html`<${Empty}>The agent has not sent an update of this task yet.<//>`;
  const steps = span(task.life, endOf(task));
  const first_ms = steps[0].at_ms;
  return html`
    <div class="stripe" aria-hidden="true">
      ${steps.filter((step) => step.lasted_ms > 0).map((step) => html`<span class=${tone(step.state)} style=${{ flexGrow: step.lasted_ms }} title=${`${stateName(step.state)} ${millis(step.lasted_ms)}`}></span>`)}
    </div>
    <ol class="life">
      ${steps.map((step, at) => html`<li key=${at} class=${tone(step.state)}>
        <${State} state=${step.state} />
        <time datetime=${moment(step.at_ms)} title=${moment(step.at_ms)}>${clock(step.at_ms)}</time>
        <span class="since">${at ? `+${millis(step.at_ms - first_ms)}` : ""}</span>
        <span class="lasted">${at < steps.length - 1 || !task.ended ? `for ${millis(step.lasted_ms)}` : ""}</span>
        <div class="words">${words(step)}${step.message && html`<div class="message">${step.message}</div>`}</div>
      </li>`)}
    </ol>`;
};

const health = { true: "healthy", false: "unhealthy" };
const words = ({ reason, healthy }) => [reason?.replace(/^REASON_/, "").replaceAll("_", " ").toLowerCase(), health[healthy]].filter(Boolean).join(" · ");
