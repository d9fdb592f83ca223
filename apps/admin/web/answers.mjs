// Answers that are asked for, by pages that follow no stream.

import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { begin, turn } from "./live.mjs";

/** What it means that nobody leads. */
export const NOBODY = "a majority of the masters must run and reach each other. Tasks run on, nothing new starts";
const RETRY_MS = 2_000;
const MAX_ANSWER_MS = 10_000; // A master that hangs takes the question and says nothing.

/** No answer, in words: `lost` where nobody gave one. `leader` is the `host:port` of the master that has one, where it is another. */
class NoAnswer extends Error {
  constructor(message, { leader, lost } = {}) {
    super(message);
    this.leader = leader;
    this.lost = lost;
  }
}

/** An answer of the server as JSON; throws an Error with the server's words. */
export async function getJson(path, abort) {
  const [answer, text] = await ask(path, abort);
  if (answer.type === "opaqueredirect") throw await elsewhere(abort);
  if (answer.ok) return JSON.parse(text);
  throw new NoAnswer(refusal(answer.status, path.split("?", 1)[0], text));
}

async function ask(path, abort) {
  const late = AbortSignal.timeout(MAX_ANSWER_MS);
  try {
    // The page may read nothing of another master, so it must not be led there.
    const answer = await fetch(path, { signal: abort ? AbortSignal.any([abort, late]) : late, redirect: "manual" });
    return [answer, await answer.text()];
  } catch (error) {
    throw abort?.aborted ? error : new NoAnswer("the master does not answer", { lost: true });
  }
}

async function elsewhere(abort) {
  const { leader } = await getJson("/tepui/v1/leader", abort);
  return new NoAnswer("only the leading master can tell, and this one follows", { leader });
}

function refusal(status, path, text) {
  if (status === 401 || status === 403) return `you may not read ${path}: who keeps the master's --acls can allow it by get_endpoints (${status})`;
  const words = said(text).trim().replace(/\.$/, "");
  if (words === "No leader elected") return `no leader elected: ${NOBODY}`;
  return words || `the master answered ${status}`;
}

/** The web admin says why as JSON, the endpoints as text. */
function said(text) {
  try {
    return JSON.parse(text).error ?? text;
  } catch {
    return text;
  }
}

/**
 * What `path` answers, as `{ data, at_ms, error }`: asked again every `every_ms` until `isLast(data)`, or only once without. Of no
 * path nothing is asked. Data stays when a later answer fails; another path, or another `round`, begins anew.
 */
export function useAnswer(path, { every_ms, isLast, round } = {}) {
  const key = `${round} ${path}`;
  const known = useSignal({});
  useEffect(() => {
    if (!path) return undefined;
    const abort = new AbortController();
    let timer;
    async function look() {
      let next_ms = every_ms;
      try {
        const data = await getJson(path, abort.signal);
        known.value = { key, data, at_ms: Date.now() };
        turn("live");
        if (isLast?.(data)) next_ms = undefined;
      } catch (error) {
        if (abort.signal.aborted) return;
        known.value = { ...(known.peek().key === key && known.peek()), key, error };
        turn(error.lost ? "broken" : "live");
        next_ms ??= error.lost ? RETRY_MS : undefined;
      }
      if (next_ms) timer = setTimeout(look, next_ms);
    }
    begin();
    look();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [key]);
  return known.value.key === key ? known.value : {};
}
