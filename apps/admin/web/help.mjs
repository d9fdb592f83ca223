// The keys, in a dialog.

import { html } from "htm/preact";
import { useEffect, useRef } from "preact/hooks";
import { signal } from "@preact/signals";

export const helpShown = signal(false);

const more = [
  { keys: ["/"], does: "filter, on Actors" },
  { keys: ["t"], does: "light or dark colours" },
  { keys: ["?"], does: "this list" },
  { keys: ["Esc"], does: "close it" },
];

/** `pages` have a `key` and a `title`. */
export function Help({ pages }) {
  const dialog = useRef(null);
  const shown = helpShown.value;
  useEffect(() => {
    if (shown) dialog.current.showModal();
  }, [shown]);
  const keys = [...pages.map(({ key, title }) => ({ keys: ["g", key], does: title })), ...more];
  return html`<dialog ref=${dialog} aria-label="Keys" onClose=${() => { helpShown.value = false; }}>
    <h2>Keys</h2>
    <dl>${keys.map((row) => html`<div key=${row.does}><dt>${row.keys.map((key) => html`<kbd key=${key}>${key}</kbd> `)}</dt><dd>${row.does}</dd></div>`)}</dl>
    <form method="dialog"><button>Close</button></form>
  </dialog>`;
}
