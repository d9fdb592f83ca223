// The page's address: `#/path?key=value`. Filters and sorting live in it, so that a link shows what one saw.

import { signal } from "@preact/signals";

function read() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?", 2);
  return { parts: ours(path.split("/").filter(Boolean).map(decode)), query: new URLSearchParams(query) };
}

const mesosPages = ["agents", "slaves", "frameworks", "roles", "maintenance"];

/** Other tools link to pages of Mesos' web interface: a task's executor and its sandbox are on the task's page, offers have their own, all else is on the overview. */
function ours(parts) {
  if (!mesosPages.includes(parts[0])) return parts;
  const [, , , framework, , executor, , task] = parts;
  return executor ? ["task", framework, task ?? executor] : [];
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const route = signal(read());
addEventListener("hashchange", () => {
  route.value = read();
});

/** Changes a key of the address without a new entry in the history; an empty value removes it. */
export function setQuery(changes) {
  const { parts, query } = read();
  for (const [key, value] of Object.entries(changes)) {
    if (value) query.set(key, value);
    else query.delete(key);
  }
  const path = parts.map(encodeURIComponent).join("/");
  history.replaceState(null, "", `#/${path}${query.size ? `?${query}` : ""}`);
  route.value = read();
}

export const taskHref = (framework, task) => `#/task/${encodeURIComponent(framework)}/${encodeURIComponent(task)}`;

/** What stands between a framework and each agent. */
export const whyHref = (framework) => `#/why?framework=${encodeURIComponent(framework)}`;
