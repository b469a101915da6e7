// Placements: settings and rules of a place, what a user would be shown with them, and what they were before.

import { get, learnTitles, path, post, put } from "./api.js";
import { failure, fill, h, heading, itemLink, nothing, say, to } from "./dom.js";
import { ago, moment } from "./format.js";

const EXAMPLE = { k: 10, rules: [{ promote: "genres:Comedy", share: 0.2 }] };
const RULES = { pin: "pinned", promote: "promoted", limit: "moved by a limit", bury: "buried" };

export async function show(root, parameters, signal) {
  const listed = (await get("v1/placements", { signal })).placements;
  const name = parameters.get("name") ?? listed[0]?.name ?? "home";
  const stored = listed.find((each) => each.name === name) ?? null;
  const state = { signal, name, stored, user: parameters.get("user") ?? "", preview: h("section", { "aria-live": "polite" }), history: h("section", {}), wrong: h("div", {}) };
  fill(root,
    h("h1", {}, "Placements"),
    h("p", { class: "lead" }, "Named places where recommendations are shown. What is put here acts on the next request."),
    chooser(listed, name),
    h("div", { class: "columns wide-side" }, h("section", { class: "side-column", "aria-label": "Settings" }, editor(state), state.wrong), h("div", { class: "main-column" }, state.preview, state.history)));
  await Promise.all([preview(state), drawHistory(state)]);
}

function chooser(listed, name) {
  const field = h("input", { id: "placement-name", type: "search", placeholder: "Name of a new one", autocomplete: "off", spellcheck: "false" });
  const open = (event) => { event.preventDefault(); if (field.value.trim()) location.hash = to("placements", { name: field.value.trim() }); };
  return h("div", { class: "view-head" },
    listed.length ? h("div", { class: "segments", role: "group", "aria-label": "Placement" }, listed.map((each) =>
      h("a", { href: to("placements", { name: each.name }), "aria-current": each.name === name ? "true" : null }, each.name))) : nothing("None yet."),
    h("form", { class: "row", on: { submit: open } }, h("label", { class: "unseen", for: "placement-name" }, "Name of a new placement"), field, h("button", { type: "submit", class: "plain" }, "Open")));
}

/** Settings without what the service says of them. */
function settingsOf(placement) {
  const { name, number, updated_at, ...settings } = placement;
  return settings;
}

function editor(state) {
  const { stored } = state;
  state.text = h("textarea", { id: "settings", rows: "18", spellcheck: "false", class: "code" });
  state.text.value = JSON.stringify(stored ? settingsOf(stored) : EXAMPLE, null, 2);
  state.userField = h("input", { id: "preview-user", type: "search", value: state.user, placeholder: "Nobody in particular", autocomplete: "off", spellcheck: "false" });
  return [
    heading(state.name, stored ? h("span", { class: "muted", title: moment(stored.updated_at) }, `change ${stored.number}, ${ago(stored.updated_at)}`) : h("span", { class: "muted" }, "not there yet")),
    h("label", { for: "settings" }, "Settings and rules, as JSON"), state.text,
    h("p", { class: "hint" }, "k, filter, boost, diversity, explore, exclude_seen, fallback; rules: pin with position, promote with share, limit with at_most and within, bury; each from and until a time."),
    h("label", { for: "preview-user" }, "Look at it as user"), state.userField,
    h("div", { class: "row end" },
      h("button", { type: "button", class: "plain", on: { click: () => preview(state) } }, "Preview"),
      h("button", { type: "button", class: "main", on: { click: (event) => save(state, event.target) } }, "Put it live")),
  ];
}

function written(state) {
  fill(state.wrong);
  try {
    return JSON.parse(state.text.value);
  } catch (error) {
    fill(state.wrong, failure({ title: "No JSON", message: error.message }));
    return null;
  }
}

async function save(state, button) {
  const settings = written(state);
  if (settings === null) return;
  button.disabled = true;
  try {
    const stored = await put(path`v1/placements/${state.name}`, settings, { signal: state.signal });
    say(`${state.name} is as written, with change ${stored.number}.`);
    if (state.stored) dispatchEvent(new HashChangeEvent("hashchange"));
    else location.hash = to("placements", { name: state.name, again: stored.number });
  } catch (error) {
    if (error.name !== "AbortError") fill(state.wrong, failure(error));
  }
  button.disabled = false;
}

/** Today's list beside the one with what is written, for the same user. */
async function preview(state) {
  const settings = written(state);
  if (settings === null) return;
  const user = state.userField.value.trim();
  const turn = state.turn = (state.turn ?? 0) + 1; // an answer to what was written before is late
  const ask = (given) => post(path`v1/placements/${state.name}/preview`, { settings: given, ...(user ? { user_id: user } : {}) }, { signal: state.signal });
  try {
    const [today, next] = await Promise.all([ask(state.stored ? settingsOf(state.stored) : {}), ask(settings)]);
    if (turn !== state.turn) return;
    learnTitles([...today.items, ...next.items]);
    const before = today.items.map((item) => item.item_id);
    fill(state.preview,
      heading("Today, and with this", h("span", { class: "muted" }, user ? `for ${user}` : "for nobody in particular")),
      h("div", { class: "beside" }, ranking("Today", today.items, null), ranking("With this", next.items, before)));
  } catch (error) {
    if (error.name !== "AbortError") fill(state.wrong, failure(error));
  }
}

function ranking(title, items, before) {
  return h("div", {}, h("h3", {}, title), items.length ? h("ol", { class: "short-ranking", "data-list": title }, items.map((item, at) => {
    const was = before ? before.indexOf(item.item_id) : at;
    const moved = was < 0 ? h("span", { class: "moved in" }, "new") : was === at ? null : h("span", { class: `moved ${was > at ? "rose" : "fell"}` }, `${was > at ? "▲" : "▼"} ${Math.abs(was - at)}`);
    return h("li", { "data-id": item.item_id }, h("span", { class: "rank" }, at + 1), h("span", { class: "name" }, itemLink(item), item.rule ? h("span", { class: "tag" }, RULES[item.rule] ?? item.rule) : null, moved));
  })) : nothing("Nothing."));
}

async function drawHistory(state) {
  let changes = [];
  try {
    changes = (await get(path`v1/placements/${state.name}/history`, { signal: state.signal })).changes;
  } catch (error) {
    if (error.status !== 404) throw error;
  }
  const back = (each) => { state.text.value = JSON.stringify(each.settings, null, 2); say(`Change ${each.number} is in the field.`); preview(state); state.text.focus(); };
  fill(state.history, heading("History"), changes.length ? h("ol", { class: "plain-list changes" }, changes.map((each) =>
    h("li", {}, h("span", {}, `Change ${each.number}`, each.settings === null ? h("span", { class: "tag rejected" }, "deleted") : null, " ", h("span", { class: "muted", title: moment(each.at) }, ago(each.at))),
      each.settings === null ? null : h("button", { type: "button", class: "text", "aria-label": `Look at change ${each.number}`, on: { click: () => back(each) } }, "Look")))) : nothing("No change yet."));
}
