// The sentences of `tepui why`, word for word; integration/acceptance/why_told.json holds both to them.

const summaries = {
  AGENT_INACTIVE: "deactivated, draining or away",
  NOT_WHITELISTED: "not on the master's --whitelist",
  GPUS_KEPT: "has GPUs, kept for frameworks with GPU_RESOURCES",
  OTHER_REGION: "in another region, for frameworks with REGION_AWARE",
  CONSTRAINT: "ruled out by the framework's own offer constraints",
  TOO_SMALL: "too small, even if all were free",
  RESERVED: "reserved for other roles",
  CAPABILITY: "for frameworks with another capability",
  HELD: "offered or in use",
  QUOTA: "more than quota allows",
  REFUSED: "refused by the framework a while ago",
};

const bars = {
  PAUSED: "the master waits for the agents it knew before it began to lead",
  FRAMEWORK_INACTIVE: "the framework is not connected, or was deactivated",
  NOT_SUBSCRIBED: "the framework left this role and only holds what it had",
  SUPPRESSED: "the framework suppressed offers; REVIVE ends that",
};

/** Thousandths are what the master counts; the rest is how doubles are written. */
const fixed = (value) => String(Math.round(value * 1_000) / 1_000);

const amounts = (of) => Object.entries(of ?? {}).map(([name, amount]) => `${name}:${fixed(amount)}`).join(";");
const agents = (count) => (count === 1 ? "1 agent" : `${count} agents`);

/** `3.2 s`, `12 min`, `364 d`. */
function span(seconds) {
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  if (seconds < 7_200) return `${(seconds / 60).toFixed(0)} min`;
  if (seconds < 172_800) return `${(seconds / 3_600).toFixed(0)} h`;
  return `${(seconds / 86_400).toFixed(0)} d`;
}

export const heading = ({ framework, framework_id: id, need, policy }) =>
  `${framework ?? "-"} (${id}) needs ${amounts(need) || "anything worth an offer"}; the policy is ${policy}`;

/** What holds of a role whatever the agent. */
export function ofRole({ bars: barred, ahead, takers, open_agents: open, agents_by_cause: counts }) {
  return [
    ...barred.map((bar) => `no agent is offered: ${bars[bar] ?? bar}`),
    ...(ahead === null ? [] : [`${ahead} of ${takers} takers are asked before it`]),
    `nothing stands in the way on ${agents(open)}`,
    ...Object.entries(counts).map(([cause, count]) => `${summaries[cause] ?? cause} on ${agents(count)}`),
  ];
}

/** What holds of one agent. */
export function ofAgent({ causes, maintenance }) {
  const said = causes.length ? causes.map(ofCause) : ["nothing; offered when it is its turn"];
  return maintenance ? [...said, ofMaintenance(maintenance)] : said;
}

export const ofMachine = ({ hostname, ip }) => `machine ${hostname} (${ip}) is down for maintenance: its agents are not let in`;

function ofCause(cause) {
  const summary = summaries[cause.cause] ?? cause.cause;
  switch (cause.cause) {
    case "TOO_SMALL":
      return `${summary}: lacks ${amounts(cause.missing)}`;
    case "RESERVED":
      return `${summary}: ${Object.entries(cause.by_role).map(([role, held]) => `${amounts(held)} for ${role}`).join(", ")}`;
    case "CAPABILITY":
      return `${amounts(cause.amounts)} is for frameworks with ${cause.capability}`;
    case "HELD":
      return `${summary}: lacks ${amounts(cause.missing)}; ${cause.holders.map(ofHolder).join(", ")}`;
    case "QUOTA":
      return `${summary}: lacks ${amounts(cause.missing)}; ${Object.entries(cause.rules).map(ofRule).join(", ")}`;
    case "REFUSED":
      return `${summary}: ${amounts(cause.refused)} for ${span(cause.lasts_secs)} more`;
    default:
      return summary;
  }
}

const ofRule = ([name, { role }]) => (role ? `${name} by the limit of ${role}` : `${name} is kept for guarantees of others`);

function ofHolder({ framework, framework_id: id, role, amounts: held, offered_secs: offered }) {
  const since = offered === null ? "" : `, offered since ${span(offered)}`;
  return `${framework ?? id} as ${role} has ${amounts(held)}${since}`;
}

function ofMaintenance({ begins_in_secs: left, lasts_secs: lasts }) {
  const begins = left > 0 ? `in ${span(left)}` : "now";
  return `its machine is scheduled for maintenance ${begins}${lasts === null ? "" : ` for ${span(lasts)}`}`;
}
