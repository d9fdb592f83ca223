// The masters of the group as this one last told: who leads, and where a page is found when this master falls silent.

import { html } from "htm/preact";
import { useEffect } from "preact/hooks";
import { signal } from "@preact/signals";
import { NOBODY, getJson } from "./answers.mjs";
import { Banner } from "./components.mjs";
import { route } from "./router.mjs";
import { clusterName } from "./title.mjs";

export const GROUP_PATH = "/tepui/v1/cluster"; // Any master answers it.
const EVERY_MS = 5_000;
const WITHOUT_LEADER_MS = 1_000;

/** What that path answered last; null before. */
export const group = signal(null);

export function learn(told) {
  const before = new Map(group.peek()?.members.map(({ name, http }) => [name, http]));
  // A master that is away may be told of without the address it had.
  const members = told.members.map((member) => ({ ...member, http: member.http ?? before.get(member.name) }));
  group.value = { ...told, members };
  clusterName.value = told.cluster_name ?? clusterName.peek();
}

async function look() {
  try {
    learn(await getJson(GROUP_PATH));
  } catch {
    // What does not answer, or may not be read, is told by the page that needs it.
  }
}

async function lookOn() {
  if (!document.hidden) await look();
  setTimeout(lookOn, EVERY_MS);
}

lookOn();

export const followsHere = () => Boolean(group.value) && group.value.leader !== group.value.answered_by;

/** Masters of the group besides this one. */
export function others() {
  const { members = [], answered_by: own } = group.value ?? {};
  return members.filter(({ name, http }) => http && name !== own);
}

/** A page that each master has of its own. */
const isOfEach = (page) => page === "masters" || page === "actors";

/** The page of now on another master, or on the one that it knows as the leader. */
export const hrefOn = ({ http }) => `//${http}/${isOfEach(route.value.parts[0]) ? "admin/index.html" : ""}${location.hash}`;

/** Why this master does not tell of the cluster, and who does. */
export function NotLeading() {
  useEffect(() => {
    look();
    const timer = setInterval(look, WITHOUT_LEADER_MS);
    return () => clearInterval(timer);
  }, []);
  const { members, leader: name, answered_by: own } = group.value ?? {};
  const masters = html`<a href="#/masters">masters</a>`;
  const theirs = "agents, frameworks and tasks are the leader's to tell";
  if (!members) return html`<${Banner}>This master does not lead: ${theirs}. Look at the ${masters} for who does.<//>`;
  if (!name) return html`<${Banner}>Nobody leads: ${NOBODY}. Look at the ${masters} for who is missing.<//>`;
  if (name === own) return html`<${Banner} kind="wait">This master is about to lead: it reads what it must know first.<//>`;
  const leader = members.find((member) => member.name === name);
  return html`<${Banner}>This master does not lead, ${name} does: ${theirs}. Look at ${leader?.http && html`<a href=${hrefOn(leader)}>${leader.http}</a>, or at `}the ${masters}.<//>`;
}
