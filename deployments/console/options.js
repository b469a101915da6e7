// Options of a list: how many, diversity, filters and boosts. They act at once, stand in the address, and what narrows or
// moves the list is always to be seen as chips above it.

import { get } from "./api.js";
import { fill, h, to } from "./dom.js";
import { fixed, signed } from "./format.js";

const SIZES = [5, 10, 20, 50];
const MOST_KNOWN = 300;
const PAUSE_MS = 150;
/** Filters and boosts are text with the strength of a boost behind the last colon, as the API writes them. */
const BOOST = /^(.+:.+):(-?\d+(?:\.\d+)?)$/s;

/** Options as an address has them. */
export function optionsIn(parameters) {
  const boosts = parameters.getAll("boost").map((each) => each.match(BOOST)).filter(Boolean);
  const k = Number(parameters.get("k")), diversity = Number(parameters.get("diversity"));
  return {
    k: SIZES.includes(k) ? k : 10,
    diversity: diversity > 0 && diversity <= 1 ? diversity : 0,
    seen: parameters.get("seen") === "1",
    filters: parameters.getAll("filter"),
    boosts: new Map(boosts.map(([, token, amount]) => [token, Number(amount)])),
  };
}

/** The same as parameters of an address; what is as usual is left out. */
export function inAddress({ k, diversity, seen, filters, boosts }) {
  return { k: k === 10 ? undefined : k, diversity: diversity || undefined, seen: seen ? 1 : undefined, filter: filters, boost: [...boosts].map(([token, amount]) => `${token}:${amount}`) };
}

/** The same as fields of a request. */
export const inRequest = ({ k, diversity, seen, filters, boosts }) =>
  ({ k, diversity, exclude_seen: !seen, filter: filters, ...(boosts.size ? { boost: Object.fromEntries(boosts) } : {}) });

/** Panel and chips over the same options; `changed` is called a moment after each change. */
export function optionControls(options, { saves, changed, signal }) {
  const chips = h("div", { class: "chips active-options", role: "group", "aria-label": "Filters and boosts" });
  const boosts = h("div", { class: "boosts" });
  let timer = null;
  const soon = () => { clearTimeout(timer); timer = setTimeout(changed, PAUSE_MS); };
  signal.addEventListener("abort", () => clearTimeout(timer));
  const draw = () => {
    fill(chips, [...options.filters.map((each) => [each, each.startsWith("-") ? `without ${each.slice(1)}` : `only ${each}`, () => { options.filters = options.filters.filter((other) => other !== each); }]),
      ...[...options.boosts].map(([token, amount]) => [token, `${token} ${signed(amount, 1)}`, () => options.boosts.delete(token)])].map(([, text, drop]) =>
      h("span", { class: "chip removable" }, text, h("button", { type: "button", "aria-label": `Take away: ${text}`, on: { click: () => { drop(); draw(); soon(); panel.querySelector("summary").focus(); } } }, "×"))));
    chips.hidden = !chips.children.length;
  };
  const panel = h("details", { class: "options-box" }, h("summary", {}, "Options"), h("div", { class: "options-body" },
    h("div", {}, h("label", { for: "k" }, "How many"), sizes(options, soon)),
    slider("diversity", "Diversity", { min: 0, max: 1, value: options.diversity, shown: (value) => fixed(value, 1) }, (value) => { options.diversity = value; soon(); }),
    adding(options, signal, () => { draw(); drawBoosts(); soon(); }),
    boosts,
    check("Also what they have seen", options.seen, (on) => { options.seen = on; soon(); }),
    check("Clicks are stored as interactions", saves.get(), saves.set)));
  const drawBoosts = () => fill(boosts, [...options.boosts].map(([token, amount], at) =>
    slider(`boost-${at}`, token, { min: -3, max: 3, value: amount, shown: (value) => signed(value, 1) }, (value) => { options.boosts.set(token, value); draw(); soon(); })));
  panel.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !panel.open) return;
    panel.open = false;
    panel.querySelector("summary").focus();
  });
  draw();
  drawBoosts();
  return { panel, chips };
}

function sizes(options, soon) {
  const select = h("select", { id: "k", on: { change: (event) => { options.k = Number(event.target.value); soon(); } } }, SIZES.map((size) => h("option", { value: size }, size)));
  select.value = options.k;
  return select;
}

function slider(id, label, { min, max, value, shown }, moved) {
  const output = h("output", { for: id }, shown(value));
  return h("div", {}, h("label", { for: id }, label, " ", output), h("input", {
    id, type: "range", min, max, step: 0.1, value,
    on: { input: (event) => { output.textContent = shown(Number(event.target.value)); moved(Number(event.target.value)); } },
  }));
}

const check = (text, on, set) => h("label", { class: "check" }, h("input", { type: "checkbox", checked: on, on: { change: (event) => set(event.target.checked) } }), text);

/** A feature and its value, to be had, left out, or moved. */
function adding(options, signal, added) {
  const known = h("datalist", { id: "known-features" });
  const field = h("input", { id: "filter", type: "text", list: "known-features", placeholder: "genres:Comedy", autocomplete: "off", spellcheck: "false", on: { focus: () => suggest(known, signal), input: () => field.setCustomValidity("") } });
  const add = (how) => () => {
    const token = field.value.trim();
    field.setCustomValidity(/^[^-].*:./s.test(token) ? "" : "Write the name of a feature, a colon and its value, as in genres:Comedy.");
    if (!field.reportValidity()) return;
    if (how === "boost") options.boosts.set(token, options.boosts.get(token) ?? 1);
    else options.filters = [...new Set([...options.filters, how === "without" ? `-${token}` : token])];
    field.value = "";
    added();
    field.focus();
  };
  const button = (how, text) => h("button", { type: "button", class: "plain", on: { click: add(how) } }, text);
  field.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); add("only")(); } });
  return h("div", {}, h("label", { for: "filter" }, "Feature of items"), field, known, h("div", { class: "row adding" }, button("only", "Only"), button("without", "Without"), button("boost", "Boost")));
}

/** Features of some items, to choose from. */
async function suggest(list, signal) {
  if (list.children.length) return;
  try {
    const { items } = await get("v1/items", { query: { limit: 200 }, signal });
    const words = new Set(items.flatMap(({ features }) => Object.entries(features ?? {}).flatMap(([name, value]) =>
      [value].flat().filter((each) => typeof each === "string").map((each) => `${name}:${each}`))));
    fill(list, [...words].sort().slice(0, MOST_KNOWN).map((value) => h("option", { value })));
  } catch { /* nothing to choose from: it can be typed */ }
}

/** Address of a list with these options. */
export const addressOf = (who, options) => to("recommend", { ...who, ...inAddress(options) });
