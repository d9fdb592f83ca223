// Tasks running and messages a second over time, drawn by uPlot in the page's colours.

import { html } from "htm/preact";
import { useEffect, useRef } from "preact/hooks";
import { effect } from "@preact/signals";
import uPlot from "uplot";
import { count, rate } from "./format.mjs";

const HEIGHT = 230;
const SHORTEST_S = 60;

/** The colour that a custom property has in the theme of now; a canvas knows no properties. */
function colour(element, property) {
  element.style.color = `var(${property})`;
  const resolved = getComputedStyle(element).color;
  element.style.color = "";
  return resolved;
}

function options(element) {
  const axis = { stroke: () => colour(element, "--muted"), grid: { stroke: () => colour(element, "--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  const line = (label, scale, property, text) => ({
    label, scale, width: 2, stroke: () => colour(element, property), points: { show: false }, value: (_, value) => text(value),
  });
  const fromZero = (_, _low, high) => [0, Math.max(4, (high ?? 0) * 1.15)];
  return {
    width: Math.max(element.clientWidth, 200),
    height: HEIGHT,
    padding: [8, 0, 0, 0],
    cursor: { drag: { x: false, y: false } },
    scales: {
      x: { range: (_, low, high) => [Math.min(low ?? 0, (high ?? 0) - SHORTEST_S), high ?? 0] },
      tasks: { range: fromZero },
      messages: { range: fromZero },
    },
    axes: [
      { ...axis, values: "{HH}:{mm}:{ss}", space: 90 },
      { ...axis, scale: "tasks", size: 44, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10_000, 100_000] },
      { ...axis, scale: "messages", side: 1, size: 56, grid: { show: false } },
    ],
    series: [
      { value: (_, at) => (at ? new Date(at * 1000).toLocaleTimeString() : "–") },
      line("Tasks running", "tasks", "--accent", count),
      line("Messages/s", "messages", "--second", rate),
    ],
  };
}

const columns = (points) => [
  points.map((point) => point.at_ms / 1000),
  points.map((point) => point.running),
  points.map((point) => point.messages_per_s),
];

/** `points` is a signal of `{ at_ms, running, messages_per_s }`. */
export function Chart({ points }) {
  const place = useRef(null);
  useEffect(() => {
    const element = place.current;
    const plot = new uPlot(options(element), columns(points.peek()), element);
    const stop = effect(() => plot.setData(columns(points.value)));
    const resize = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }));
    resize.observe(element);
    const repaint = () => plot.redraw(false, true);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", repaint);
    addEventListener("tepui-theme", repaint);
    return () => {
      stop();
      resize.disconnect();
      scheme.removeEventListener("change", repaint);
      removeEventListener("tepui-theme", repaint);
      plot.destroy();
    };
  }, []);
  return html`<div class="chart" ref=${place} role="img" aria-label="Tasks running and messages a second over the last minutes"></div>`;
}
