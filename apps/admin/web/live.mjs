// One live view of the server: a stream of events that is opened again whenever it breaks.

import { signal } from "@preact/signals";

/** How the stream stands: `connecting`, `live` or `broken`, and since when (of this browser's clock). */
export const connection = signal({ state: "connecting", since: Date.now() });

/** The server's clock, known to the second from its last event. */
export const serverNow = signal(Date.now());

const SILENT_MS = 5_000; // An event comes every second; silence means that the stream is dead.
const RETRY_MS = 1_000;
const MAX_RETRY_MS = 8_000;

export function turn(state) {
  if (connection.peek().state !== state) connection.value = { state, since: Date.now() };
}

/** Another page is asked for. A master that did not answer the last one is not believed to answer before it does. */
export function begin() {
  if (connection.peek().state !== "broken") turn("connecting");
}

/**
 * Follows `view`, calling `handlers[event](data)`. Returns a function that stops it.
 * Only one view is followed at a time, so the state of the connection is the page's.
 */
export function follow(view, handlers) {
  let source, retry, retryMs = RETRY_MS, heardAt = Date.now(), stopped = false;
  begin();

  const fail = () => {
    if (stopped) return;
    source.close();
    turn("broken");
    clearTimeout(retry);
    retry = setTimeout(open, retryMs);
    retryMs = Math.min(retryMs * 2, MAX_RETRY_MS);
  };

  function open() {
    heardAt = Date.now();
    source = new EventSource(`/admin/live?view=${view}`);
    source.onerror = fail;
    for (const [name, handler] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => {
        const data = JSON.parse(event.data);
        heardAt = Date.now();
        retryMs = RETRY_MS;
        if (data.at_ms) serverNow.value = data.at_ms;
        turn("live");
        handler(data);
      });
    }
  }

  const watchdog = setInterval(() => {
    if (connection.peek().state !== "broken" && Date.now() - heardAt > SILENT_MS) fail();
  }, 1_000);

  open();
  return () => {
    stopped = true;
    clearInterval(watchdog);
    clearTimeout(retry);
    source.close();
  };
}
