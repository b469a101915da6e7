// Two lists for one user side by side: of two versions, two placements or two settings. Nothing of it counts as shown.

import { get, learnTitles, path, post } from "./api.js";
import { failure, fill, h, heading, itemLink, nothing, say, to } from "./dom.js";
import { plural } from "./format.js";

const SIDES = { a: "A", b: "B" };
const DEFAULT_K = 10;
const EXAMPLE = '{"diversity": 0.5}';

export async function show(root, parameters, signal) {
  const [{ models }, { placements }, { users }] = await Promise.all(["v1/models", "v1/placements", "v1/users?limit=50"].map((where) => get(where, { signal })));
  const state = { signal, models, placements, user: parameters.get("user") ?? users.find((each) => each.features)?.user_id ?? users[0]?.user_id ?? "", lists: h("section", { "aria-label": "Two lists" }) };
  for (const side of Object.keys(SIDES)) {
    state[side] = { version: parameters.get(`${side}v`) ?? "", placement: parameters.get(`${side}p`) ?? "", settings: parameters.get(`${side}s`) ?? (side === "b" && !hasSides(parameters) ? EXAMPLE : "") };
  }
  fill(root,
    h("h1", {}, "Compare"),
    h("p", { class: "lead" }, "Two versions, placements or settings side by side for one user. Nothing of it is stored or counts as shown."),
    form(state), state.lists);
  await draw(state);
}

const hasSides = (parameters) => [...parameters.keys()].some((name) => /^[ab][vps]$/.test(name));

function form(state) {
  const user = h("input", { id: "compare-user", type: "search", value: state.user, autocomplete: "off", spellcheck: "false", placeholder: "Nobody in particular" });
  const asked = () => { state.user = user.value.trim(); keep(state); return draw(state); };
  return h("form", { class: "compare", on: { submit: (event) => { event.preventDefault(); asked(); } } },
    h("div", { class: "lookup" }, h("label", { for: "compare-user" }, "User id"), h("div", { class: "row" }, user, h("button", { type: "submit", class: "main" }, "Compare"))),
    h("div", { class: "sides" }, Object.keys(SIDES).map((side) => sideFields(state, side, asked))));
}

function sideFields(state, side, asked) {
  const own = state[side];
  const change = (name) => (event) => { own[name] = event.target.value.trim(); asked(); };
  const select = (name, label, options) => {
    const id = `${side}-${name}`;
    const made = h("select", { id, on: { change: change(name) } }, options.map(([value, text]) => h("option", { value }, text)));
    if (own[name] && !options.some(([value]) => value === own[name])) made.append(h("option", { value: own[name] }, own[name]));
    made.value = own[name];
    return h("div", {}, h("label", { for: id }, label), made);
  };
  return h("fieldset", {}, h("legend", {}, SIDES[side]),
    select("version", "Version", [["", "The one that serves"], ...state.models.map((each) => [each.version, `${each.version}, ${each.status.replace("_", " ")}`])]),
    select("placement", "Placement", [["", "None"], ...state.placements.map((each) => [each.name, each.name])]),
    h("div", {}, h("label", { for: `${side}-settings` }, "Settings on top, as JSON"),
      h("input", { id: `${side}-settings`, type: "text", value: own.settings, placeholder: EXAMPLE, autocomplete: "off", spellcheck: "false", class: "code", on: { change: change("settings") } })));
}

/** What is compared stands in the address, for whoever it is sent to. */
function keep(state) {
  const parameters = { user: state.user || undefined };
  for (const side of Object.keys(SIDES)) {
    for (const [letter, name] of [["v", "version"], ["p", "placement"], ["s", "settings"]]) parameters[`${side}${letter}`] = state[side][name] || undefined;
  }
  if (!Object.keys(parameters).some((name) => name !== "user" && parameters[name])) parameters.as = "";
  history.replaceState(null, "", to("compare", parameters));
}

/** Settings of a side: the placement's, and over them those that were typed. */
function settingsOf(state, { placement, settings }) {
  const { name, number, updated_at, ...stored } = state.placements.find((each) => each.name === placement) ?? {};
  let typed = {};
  try {
    typed = settings ? JSON.parse(settings) : {};
  } catch (error) {
    throw Object.assign(new Error(`${settings} is not JSON: ${error.message}. Write it as in ${EXAMPLE}.`), { title: "No JSON", status: 0 });
  }
  return { k: DEFAULT_K, ...stored, ...typed };
}

async function draw(state) {
  const turn = state.turn = (state.turn ?? 0) + 1; // an answer to what was asked before is late
  const ask = async (side) => {
    const model_version = state[side].version || undefined;
    return post(path`v1/placements/${"compare"}/preview`, { settings: settingsOf(state, state[side]), user_id: state.user || undefined, model_version }, { signal: state.signal });
  };
  const found = await Promise.all(Object.keys(SIDES).map((side) => ask(side).catch((error) => error)));
  if (turn !== state.turn || state.signal.aborted) return;
  const lists = found.map((each) => (each instanceof Error ? [] : each.items));
  lists.forEach(learnTitles);
  const whole = found.every((each) => !(each instanceof Error));
  const said = whole ? summary(...lists) : "";
  fill(state.lists,
    whole ? h("p", { class: "moved-note" }, said) : null,
    h("div", { class: "beside" }, Object.values(SIDES).map((name, at) => h("div", {},
      heading(`List ${name}`, found[at] instanceof Error ? null : h("span", { class: "id" }, found[at].model_version)),
      found[at] instanceof Error ? failure(found[at]) : list(name, lists[at], whole ? lists[1 - at] : null, at === 1)))));
  say(said);
}

/** What the two lists have in common, in words. */
export function summary(one, other) {
  const places = new Map(one.map((item, at) => [item.item_id, at]));
  const both = other.filter((item) => places.has(item.item_id));
  const stayed = other.filter((item, at) => places.get(item.item_id) === at).length;
  if (!one.length && !other.length) return "Both lists are empty.";
  if (stayed === one.length && one.length === other.length) return `Both lists are the same ${plural(one.length, "item", "items")}, in the same order.`;
  return `${plural(both.length, "item is", "items are")} in both lists, ${stayed} of them in the same place; ${one.length - both.length} only in A, ${other.length - both.length} only in B.`;
}

function list(name, items, others, showsMoves) {
  if (!items.length) return nothing("No item is left that fits.");
  const places = others && new Map(others.map((item, at) => [item.item_id, at]));
  return h("ol", { class: "short-ranking", "data-list": name }, items.map((item, at) => h("li", { "data-id": item.item_id },
    h("span", { class: "rank" }, at + 1),
    h("span", { class: "name" }, itemLink(item), item.rule ? h("span", { class: "tag" }, item.rule) : null, places && mark(places.get(item.item_id), at, name, showsMoves)))));
}

function mark(before, at, name, showsMoves) {
  if (before === undefined) return h("span", { class: "moved in" }, `only in ${name}`);
  if (before === at || !showsMoves) return null;
  const up = before > at;
  return h("span", { class: `moved ${up ? "rose" : "fell"}`, title: `${before + 1} in A` }, h("span", { "aria-hidden": "true" }, up ? "▲ " : "▼ "), h("span", { class: "unseen" }, up ? "up " : "down "), Math.abs(before - at));
}
