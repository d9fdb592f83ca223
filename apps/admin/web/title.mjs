// The window's title: the page, and which cluster it is of.

import { useEffect } from "preact/hooks";
import { signal } from "@preact/signals";
import { printable } from "./format.mjs";

/** The cluster's name, where it has one and a page was told it. */
export const clusterName = signal(null);

export function useTitle(page) {
  const cluster = clusterName.value;
  useEffect(() => {
    document.title = printable([page, cluster, "Tepui"].filter(Boolean).join(" · "));
  }, [page, cluster]);
}
