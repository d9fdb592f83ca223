// The frame around every page: navigation, how live it is, and the theme.

import "./escape.mjs";
import { render } from "preact";
import { html } from "htm/preact";
import { useEffect } from "preact/hooks";
import { signal } from "@preact/signals";
import { Actors } from "./actors.mjs";
import { useAnswer } from "./answers.mjs";
import { Banner, Empty } from "./components.mjs";
import { brief } from "./format.mjs";
import { GROUP_PATH, hrefOn, others } from "./group.mjs";
import { Help, helpShown } from "./help.mjs";
import { connection } from "./live.mjs";
import { Masters } from "./masters.mjs";
import { Offers } from "./offers.mjs";
import { Overview } from "./overview.mjs";
import { route } from "./router.mjs";
import { Task } from "./task.mjs";
import { useTitle } from "./title.mjs";
import { Why } from "./why.mjs";

// A master that follows sends `/` to the leader; its own is `/admin/index.html`, for the pages that each master has.
const pages = [
  { href: "/#/", path: "", title: "Overview", key: "o" },
  { href: "/#/offers", path: "offers", title: "Offers", key: "x" },
  { href: "/#/why", path: "why", title: "Why", key: "w" },
  { href: "#/masters", path: "masters", title: "Masters", key: "s" },
  { href: "#/actors", path: "actors", title: "Actors", key: "m" },
];

/** While this master does not answer, what was loaded of it is all there is: the page must not be left. */
const hrefOf = ({ href }) => (connection.value.state === "broken" ? href.slice(href.indexOf("#")) : href);

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
  return html`<${Banner}>The master does not answer, for ${brief(Math.max(1_000, now.value - since))} now. What you see is old; the page keeps trying.<${OnOthers} /><//>`;
}

function OnOthers() {
  const links = others().map((member, at) => html`${at ? ", " : " "}<a key=${member.name} href=${hrefOn(member)} title=${member.name}>${member.http}</a>`);
  return links.length > 0 && html` The same page on another master: ${links}.`;
}

function Page() {
  const [page, ...rest] = route.value.parts;
  if (!page) return html`<${Overview} />`;
  if (page === "actors") return html`<${Actors} />`;
  if (page === "masters") return html`<${Masters} />`;
  if (page === "offers") return html`<${Offers} />`;
  if (page === "why") return html`<${Why} />`;
  if (page === "task" && rest.length === 2) return html`<${Task} key=${rest.join("/")} framework=${rest[0]} id=${rest[1]} />`;
  return html`<${NoPage} />`;
}

function NoPage() {
  useTitle("No such page");
  useAnswer(GROUP_PATH, { every_ms: 5_000 }); // So that the frame knows whether the master answers.
  return html`
    <div class="title"><h1>No such page</h1></div>
    <${Empty}>Nothing is at <code>${location.hash}</code>. There is ${pages.map((page, at) => html`${at ? ", " : ""}<a key=${page.path} href=${hrefOf(page)}>${page.title}</a>`)}; the overview leads to each task.<//>`;
}

/** `g` and a page's key go to the page, `t` changes the theme, `?` tells of the keys. */
function useKeys() {
  useEffect(() => {
    let afterG = false;
    const press = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea")) return;
      if (helpShown.peek()) return;
      const page = afterG && pages.find(({ key }) => key === event.key);
      if (page) location.assign(hrefOf(page));
      else if (event.key === "t") toggleTheme();
      else if (event.key === "?") helpShown.value = true;
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
      <a class="brand" href=${hrefOf(pages[0])}><img src="/admin/icon.svg" alt="" width="22" height="22" />Tepui</a>
      <nav aria-label="Pages">${pages.map((page) => html`<a key=${page.path} href=${hrefOf(page)} title=${`g ${page.key}`} aria-current=${current === page.path ? "page" : undefined}>${page.title}</a>`)}</nav>
      <span class="right"><${Live} /><${Theme} /><button class="icon" onClick=${() => { helpShown.value = true; }} title="Keys (?)" aria-label="Keys">?</button></span>
    </header>
    <main><${Broken} /><${Page} /></main>
    <${Help} pages=${pages} />`;
}

render(html`<${App} />`, document.getElementById("app"));
