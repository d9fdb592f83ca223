// The frame around every page: navigation, how live it is, and the theme.

import { render } from "preact";
import { html } from "htm/preact";
import { useEffect } from "preact/hooks";
import { signal } from "@preact/signals";
import { Actors } from "./actors.mjs";
import { Banner, Empty } from "./components.mjs";
import { brief } from "./format.mjs";
import { connection } from "./live.mjs";
import { Masters } from "./masters.mjs";
import { Offers } from "./offers.mjs";
import { Overview } from "./overview.mjs";
import { route } from "./router.mjs";
import { Task } from "./task.mjs";
import { Why } from "./why.mjs";

// A master that follows sends `/` to the leader; its own is `/admin/index.html`, for the pages that each master has.
const pages = [
  { href: "/#/", path: "", title: "Overview", key: "o" },
  { href: "/#/offers", path: "offers", title: "Offers", key: "x" },
  { href: "/#/why", path: "why", title: "Why", key: "w" },
  { href: "#/masters", path: "masters", title: "Masters", key: "s" },
  { href: "#/actors", path: "actors", title: "Actors", key: "m" },
];

const now = signal(Date.now());
setInterval(() => {
  now.value = Date.now();
}, 1_000);

function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

const dark = signal(isDark());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  dark.value = isDark();
});

function toggleTheme() {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  dark.value = theme === "dark";
  try {
    localStorage.setItem("tepui.theme", theme);
  } catch {
    // No storage: the choice lasts as long as the page.
  }
  dispatchEvent(new Event("tepui-theme"));
}

const Theme = () => html`<button class="icon" onClick=${toggleTheme} title="Change the theme (t)" aria-label=${dark.value ? "Use light colours" : "Use dark colours"}>${dark.value ? "☀" : "☾"}</button>`;

const words = { connecting: "connecting", live: "live", broken: "reconnecting" };
const signs = { connecting: "wait", live: "good", broken: "bad" };

const Live = () => html`<span class="pill ${signs[connection.value.state]}" role="status"><span class="dot" aria-hidden="true"></span>${words[connection.value.state]}</span>`;

function Broken() {
  const { state, since } = connection.value;
  if (state !== "broken") return null;
  return html`<${Banner}>The master does not answer, for ${brief(Math.max(1_000, now.value - since))} now. What you see is old; the page keeps trying.<//>`;
}

function Page() {
  const [page, ...rest] = route.value.parts;
  if (!page) return html`<${Overview} />`;
  if (page === "actors") return html`<${Actors} />`;
  if (page === "masters") return html`<${Masters} />`;
  if (page === "offers") return html`<${Offers} />`;
  if (page === "why") return html`<${Why} />`;
  if (page === "task" && rest.length === 2) return html`<${Task} key=${rest.join("/")} framework=${rest[0]} id=${rest[1]} />`;
  return html`<${Empty}>There is no such page. <a href="#/">Overview</a><//>`;
}

/** `g` and a page's key go to the page, `t` changes the theme. */
function useKeys() {
  useEffect(() => {
    let afterG = false;
    const press = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea")) return;
      const page = afterG && pages.find(({ key }) => key === event.key);
      if (page) location.assign(page.href);
      else if (event.key === "t") toggleTheme();
      afterG = event.key === "g";
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

function App() {
  useKeys();
  const current = route.value.parts[0] ?? "";
  return html`
    <header class="top">
      <a class="brand" href="/#/"><img src="/admin/icon.svg" alt="" width="22" height="22" />Tepui</a>
      <nav aria-label="Pages">${pages.map(({ href, path, title, key }) => html`<a key=${path} href=${href} title=${`g ${key}`} aria-current=${current === path ? "page" : undefined}>${title}</a>`)}</nav>
      <span class="right"><${Live} /><${Theme} /></span>
    </header>
    <main><${Broken} /><${Page} /></main>`;
}

render(html`<${App} />`, document.getElementById("app"));
