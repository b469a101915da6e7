// Which view is shown, the theme, and the key.

import { key } from "./api.js";
import { failure, fill, h } from "./dom.js";
import * as attribution from "./attribution.js";
import * as browse from "./browse.js";
import * as compare from "./compare.js";
import * as experiments from "./experiments.js";
import * as health from "./health.js";
import * as imports from "./import.js";
import * as item from "./item.js";
import * as models from "./models.js";
import * as placements from "./placements.js";
import * as recommend from "./recommend.js";
import * as users from "./users.js";

const VIEWS = { recommend, compare, users, item, browse, placements, experiments, attribution, models, health, import: imports };
const NAMES = { recommend: "Recommend", compare: "Compare", users: "Users", item: "Items", browse: "Browse", placements: "Placements", experiments: "Experiments", attribution: "Attribution", models: "Models", health: "Health", import: "Import" };
const main = document.getElementById("main");
const nav = document.getElementById("nav");
let leaving = new AbortController();
let shown = null;

function place() {
  const [name, query] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  return { name: name || "recommend", parameters: new URLSearchParams(query ?? "") };
}

async function show() {
  if (location.hash && !location.hash.startsWith("#/")) return; // the skip link
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const { name, parameters } = place();
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.dataset.view === name) {
      link.setAttribute("aria-current", "page");
      nav.scrollLeft = link.offsetLeft - nav.offsetLeft - 40; // on a narrow screen not all links fit
    } else link.removeAttribute("aria-current");
  }
  document.title = `${NAMES[name] ?? "No such view"} · lightfm-serve`;
  const root = h("div", { class: `view view-${name}` });
  fill(main, root);
  if (shown !== null && shown !== name) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
  shown = name;
  if (!Object.hasOwn(VIEWS, name)) {
    fill(root, h("h1", {}, "No such view"), h("p", { class: "lead" }, `There is no view “${name}”. `, h("a", { href: "#/recommend" }, "Go to the recommendations"), "."));
    return;
  }
  try {
    await VIEWS[name].show(root, parameters, signal);
  } catch (error) {
    if (error.name !== "AbortError" && !signal.aborted) fill(root, failure(error, show));
    if (error.name !== "AbortError" && error.status === undefined) throw error; // a fault of the page's own
  }
}

fill(nav, Object.entries(NAMES).map(([name, text]) =>
  h("a", { href: `#/${name}`, "data-view": name }, text)));
addEventListener("hashchange", show);

const themes = ["auto", "light", "dark"];
const themeButton = document.getElementById("theme");
let theme = document.documentElement.dataset.theme ?? "auto";

function showTheme() {
  themeButton.textContent = `Theme: ${theme}`;
}

themeButton.addEventListener("click", () => {
  theme = themes[(themes.indexOf(theme) + 1) % themes.length];
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("theme", theme);
  } catch { /* storage is off: it holds until the page is left */ }
  showTheme();
});

const keyButton = document.getElementById("key");
let dialog = null;

function showKey() {
  keyButton.textContent = key.get() ? "Key set" : "Key";
}

function askForKey(problem = null) {
  if (dialog) return;
  const field = h("input", { type: "password", id: "key-field", autocomplete: "off", spellcheck: "false", value: key.get() });
  const close = (value) => {
    if (value !== undefined) key.set(value);
    dialog.close();
    dialog.remove();
    dialog = null;
    showKey();
    if (value !== undefined) show();
  };
  dialog = h("dialog", { "aria-labelledby": "key-title", on: { cancel: (event) => { event.preventDefault(); close(); } } },
    h("form", { on: { submit: (event) => { event.preventDefault(); close(field.value.trim()); } } },
      h("h2", { id: "key-title" }, "API key"),
      problem ? h("p", { class: "failure-line", role: "alert" }, problem.message) : null,
      h("label", { for: "key-field" }, "Key of the scope read, write or admin"),
      field,
      h("p", { class: "hint" }, "It stays in this tab and is forgotten when the tab is closed. Reading needs read, clicks and " +
        "availability need write, training and roll back need admin."),
      h("div", { class: "row end" },
        key.get() ? h("button", { type: "button", class: "plain", on: { click: () => close("") } }, "Forget it") : null,
        h("button", { type: "button", class: "plain", on: { click: () => close() } }, "Cancel"),
        h("button", { type: "submit", class: "main" }, "Use this key"))));
  document.body.append(dialog);
  dialog.showModal();
  field.select();
}

keyButton.addEventListener("click", () => askForKey());
addEventListener("needs-key", (event) => askForKey(event.detail));

showTheme();
showKey();
show();
