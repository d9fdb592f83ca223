// What a task writes to one file, followed as it grows.

import { html } from "htm/preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { getJson } from "./answers.mjs";
import { bytes } from "./format.mjs";

const EVERY_MS = 1_000;
const AFTER_END_MS = 5_000; // The last words may come after the last update.
const MAX_CHARACTERS = 512 * 1024; // Of a long output the page keeps the end.

function useOutput(path, ended) {
  const output = useSignal({ text: "", from: 0, size: 0, error: null, read: false });
  const done = useRef(ended);
  done.current = ended;
  useEffect(() => {
    const abort = new AbortController();
    let timer, next, endedAt;
    async function look() {
      const before = output.peek();
      let more = false;
      try {
        const piece = await getJson(next === undefined ? path : `${path}?offset=${next}`, abort.signal);
        // The file is smaller than it was: it is another one.
        const again = next !== undefined && piece.size < next;
        const text = (again ? "" : before.text) + piece.data;
        output.value = { text: text.slice(-MAX_CHARACTERS), from: next === undefined ? piece.offset : before.from, size: piece.size, error: null, read: true };
        next = again ? 0 : piece.next;
        more = next < piece.size;
      } catch (reason) {
        if (abort.signal.aborted) return;
        output.value = { ...before, error: reason.message };
      }
      if (done.current) endedAt ??= Date.now();
      if (more || !endedAt || Date.now() - endedAt < AFTER_END_MS) timer = setTimeout(look, more ? 0 : EVERY_MS);
    }
    look();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [path]);
  return output.value;
}

/** `path` answers pieces of the file; it is followed until the task has ended. */
export function Output({ path, name, ended }) {
  const output = useOutput(path, ended);
  const follow = useSignal(true);
  const pane = useRef(null);
  const words = useRef(null);
  // As the task wrote it: unlike all other text it is not escaped.
  useLayoutEffect(() => {
    words.current.textContent = output.text;
  }, [output.text]);
  useLayoutEffect(() => {
    if (follow.value) pane.current.scrollTop = pane.current.scrollHeight;
  }, [output.text, follow.value]);
  const onScroll = ({ target }) => {
    follow.value = target.scrollHeight - target.scrollTop - target.clientHeight < 24;
  };
  const nothing = output.error ?? (output.read ? `Nothing on ${name}${ended ? "" : " yet"}.` : "Reading…");
  return html`<section class="card output">
    <header>
      <h2>${name}</h2>
      <span class="note">${output.read && bytes(output.size)}${output.from > 0 && ", its end is shown"}${output.text && output.error && ` · ${output.error}`}</span>
      <label><input type="checkbox" checked=${follow.value} onChange=${({ target }) => { follow.value = target.checked; }} /> follow</label>
    </header>
    <pre ref=${pane} onScroll=${onScroll} tabindex="0" role="log" aria-label=${name}><span ref=${words}></span>${!output.text && html`<span class="empty">${nothing}</span>`}</pre>
  </section>`;
}
