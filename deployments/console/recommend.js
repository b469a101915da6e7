// Recommendations for someone known or invented, and what a click changes.

import { get, learnTitles, path, post, titles } from "./api.js";
import { bars, because, stack, widest } from "./charts.js";
import { failure, fill, h, heading, itemLink, nothing, say, to } from "./dom.js";
import { ago, featureText, fixed, isVector } from "./format.js";
import { addressOf, inRequest, optionControls, optionsIn } from "./options.js";
import { itemPicker } from "./picker.js";

const HISTORY = 8;
const KNOWN = {
  I: "known to the model, and so are their features",
  II: "new to the model; their features are known",
  III: "known to the model, without features",
  IV: "nothing is known of this person yet",
};
const STRATEGIES = {
  personalized: ["Personalized", "from what the model learned of this person"],
  features: ["From features", "from what people with these features like"],
  recent: ["From recent items", "what was learned, moved by the newest interactions"],
  popular: ["Popular", "what everyone gets"],
  none: ["Nothing", "nothing is known and no fallback was allowed"],
};

/** Kept while the page is open, so that one can look at an item and come back. */
const invented = { id: `guest-${Math.random().toString(36).slice(2, 7)}`, features: {}, extra: [], recent: [] };
let saves = true;

export async function show(root, parameters, signal) {
  const asNew = parameters.has("new") || parameters.has("recent");
  if (parameters.has("recent")) {
    const ids = parameters.getAll("recent");
    const named = await titles(ids, { signal });
    invented.recent = ids.map((id) => ({ item_id: id, title: named.get(id) }));
  }
  const samples = (await get("v1/users", { query: { limit: 200 }, signal })).users;
  const user = parameters.get("user") ?? samples.find((each) => each.features)?.user_id ?? samples[0]?.user_id ?? "";
  const person = h("section", { class: "side-column", "aria-label": "Who" });
  const list = h("section", { class: "main-column", "aria-label": "Recommendations" });
  const about = h("section", { class: "side-column", "aria-label": "About them" });
  fill(root, h("h1", { class: "unseen" }, "Recommend"), h("div", { class: "columns" }, person, list, about));
  const state = { list, person, about, signal, samples, asNew, user, previous: null, session: [], options: optionsIn(parameters), answer: h("div", {}), head: h("div", {}) };
  const kept = { get: () => saves, set: (on) => { saves = on; } };
  const { panel, chips } = optionControls(state.options, { saves: kept, signal, changed: () => { keep(state); recommend(state); } });
  fill(list, h("div", { class: "answer-head" }, state.head, panel), chips, state.answer);
  drawWho(state);
  await recommend(state);
}

/** Address of a list for somebody, with the options as they are. */
const listOf = (state, who) => addressOf(who, state.options);

/** Options stand in the address: they stay when it is reloaded, or sent to somebody. */
function keep(state) {
  history.replaceState(null, "", listOf(state, state.asNew ? { new: "" } : { user: state.user || undefined }));
  drawWho(state);
}

/** Who is asked for: a segmented choice, then the one or the other. */
function drawWho(state) {
  const choice = (text, href, current) => h("a", { href, "aria-current": current ? "true" : null }, text);
  const body = h("div", {});
  fill(state.person,
    h("div", { class: "segments", role: "group", "aria-label": "Who is it?" },
      choice("Someone known", listOf(state, { user: state.user || undefined }), !state.asNew),
      choice("Someone new", listOf(state, { new: "" }), state.asNew)),
    body);
  if (state.asNew) drawInvented(state, body);
  else drawKnown(state, body);
}

function drawKnown(state, body) {
  const field = h("input", { id: "user", type: "search", value: state.user, autocomplete: "off", spellcheck: "false", placeholder: "User id" });
  const { about } = state;
  fill(body,
    h("form", { class: "lookup", on: { submit: (event) => {
      event.preventDefault();
      if (field.value) location.hash = listOf(state, { user: field.value });
    } } }, h("label", { for: "user" }, "User id"), h("div", { class: "row" }, field, h("button", { type: "submit", class: "main" }, "Look up"))),
    state.samples.length ? h("p", { class: "chips" }, h("span", { class: "muted" }, "Some of them"), state.samples.slice(0, 6).map((each) =>
      h("a", { class: "chip", href: listOf(state, { user: each.user_id }) }, each.user_id))) : null,
    h("p", {}, state.user ? h("a", { class: "go", href: to("users", { id: state.user }) }, "All that they did") : null));
  if (state.user && !state.about.childElementCount) drawAbout(state, about).catch((error) => { if (error.name !== "AbortError") fill(about, failure(error)); });
}

async function drawAbout(state, about) {
  const { user, signal } = state;
  const orNull = (asked) => asked.catch((error) => { if (error.status === 404) return null; throw error; });
  const [stored, history, alike] = await Promise.all([
    orNull(get(path`v1/users/${user}`, { signal })),
    orNull(get(path`v1/users/${user}/interactions`, { query: { limit: HISTORY }, signal })),
    orNull(get(path`v1/users/${user}/similar`, { query: { k: 6 }, signal })),
  ]);
  const named = await titles((history?.interactions ?? []).map((each) => each.item_id), { signal });
  if (signal.aborted) return;
  const features = Object.entries(stored?.features ?? {});
  fill(about,
    features.length ? [h("h2", {}, "Features"), h("dl", { class: "facts" }, features.map(([name, value]) =>
      h("div", {}, h("dt", {}, name), h("dd", {}, featureText(value)))))] : null,
    h("h2", {}, "Last interactions"),
    history ? h("ul", { class: "plain-list history" }, history.interactions.map((each) =>
      h("li", {}, itemLink({ item_id: each.item_id, title: named.get(each.item_id) }), h("span", { class: "muted" }, ago(each.timestamp)))))
      : nothing("None yet."),
    alike?.users.length ? [h("h2", {}, "People like them"), h("p", { class: "chips" }, alike.users.map((each) =>
      h("a", { class: "chip", href: to("recommend", { user: each.user_id }), title: `cosine ${fixed(each.score, 3)}` }, each.user_id)))] : null);
}

/** What kinds of values features take, read off the users who are there. */
function schemaOf(users) {
  const schema = new Map();
  for (const { features } of users) {
    for (const [name, value] of Object.entries(features ?? {})) {
      if (isVector(value)) continue; // nobody types an embedding
      if (!schema.has(name)) schema.set(name, []);
      schema.get(name).push(value);
    }
  }
  return [...schema].slice(0, 10).map(([name, values]) => {
    if (values.every((value) => typeof value === "number")) return { name, kind: "number", low: Math.min(...values), high: Math.max(...values) };
    const lists = values.some(Array.isArray);
    const words = [...new Set(values.flat().map(String))].sort();
    return { name, kind: lists || words.length > 60 ? "text" : "choice", words, lists };
  });
}

function drawInvented(state, body) {
  const again = () => recommend(state);
  const set = (name, value) => {
    if (value === "" || value === null) delete invented.features[name];
    else invented.features[name] = value;
    again();
  };
  const recent = h("ul", { class: "tokens", "aria-label": "Recent items" });
  state.drawRecent = () => fill(recent, invented.recent.map((item) => h("li", {}, h("span", {}, item.title || item.item_id),
    h("button", { type: "button", "aria-label": `Take away ${item.title || item.item_id}`, on: { click: () => {
      invented.recent = invented.recent.filter((each) => each !== item);
      state.drawRecent();
      again();
    } } }, "×"))));
  state.drawRecent();
  fill(body,
    h("p", { class: "hint" }, "Say something about them, or what they looked at, and see what they would get."),
    h("div", { class: "fields" }, schemaOf(state.samples).map((each) => featureField(each, set))),
    extraFields(again),
    h("h2", {}, "Looked at"),
    recent,
    itemPicker({ label: "Add an item", signal: state.signal, chosen: (item) => {
      invented.recent = [...invented.recent.filter((each) => each.item_id !== item.item_id), item];
      state.drawRecent();
      again();
    } }),
    h("p", { class: "hint" }, "They are ", h("code", {}, invented.id), ". Their features go with each question and are not stored; a click is."));
}

function featureField({ name, kind, low, high, words, lists }, set) {
  const id = `feature-${name}`;
  const now = invented.features[name];
  const label = h("label", { for: id }, name);
  if (kind === "choice") {
    const select = h("select", { id, on: { change: (event) => set(name, event.target.value) } },
      h("option", { value: "" }, "–"), words.map((word) => h("option", { value: word }, word)));
    select.value = now ?? "";
    return h("div", {}, label, select);
  }
  const read = (text) => {
    if (!text) return "";
    if (kind === "number") return Number(text);
    return lists ? text.split("|").map((each) => each.trim()).filter(Boolean) : text;
  };
  return h("div", {}, label, h("input", {
    id, type: kind === "number" ? "number" : "text", step: "any", value: now === undefined ? "" : Array.isArray(now) ? now.join(" | ") : now,
    placeholder: kind === "number" ? `${low} to ${high}` : lists ? "one | another" : "",
    on: { change: (event) => set(name, read(event.target.value.trim())) },
  }));
}

/** Features that nobody has yet, by name and value. */
function extraFields(again) {
  const rows = h("div", { class: "extra" });
  const line = (entry) => h("div", { class: "row" },
    h("input", { "aria-label": "Name of a feature", placeholder: "name", value: entry.name, on: { change: (event) => { entry.name = event.target.value.trim(); again(); } } }),
    h("input", { "aria-label": "Value of the feature", placeholder: "value", value: entry.value, on: { change: (event) => { entry.value = event.target.value.trim(); again(); } } }));
  fill(rows, invented.extra.map(line));
  return h("div", {}, rows, h("button", { type: "button", class: "text", on: { click: () => {
    const entry = { name: "", value: "" };
    invented.extra.push(entry);
    rows.append(line(entry));
    rows.lastChild.firstChild.focus();
  } } }, "Another feature"));
}

function features() {
  const all = { ...invented.features };
  for (const { name, value } of invented.extra) {
    if (!name || !value) continue;
    all[name] = value.includes("|") ? value.split("|").map((each) => each.trim()).filter(Boolean) : Number.isFinite(Number(value)) ? Number(value) : value;
  }
  return all;
}

/** The request as it goes out. */
function question(state) {
  const asked = { ...inRequest(state.options), explain: true };
  if (!state.asNew) return { ...asked, user_id: state.user, recent: state.session };
  return { ...asked, user_id: invented.id, features: features(), recent: [...invented.recent.map((item) => item.item_id), ...state.session] };
}

let turn = 0;

async function recommend(state, clicked = null) {
  const mine = ++turn;
  if (!state.asNew && !state.user) {
    fill(state.head, heading("Nobody is here yet"));
    fill(state.answer, nothing("Look up a user, invent ", h("a", { href: "#/recommend?new" }, "someone new"), ", or see how to ", h("a", { href: "docs" }, "send what you have"), "."));
    return;
  }
  try {
    const answer = (await post("v1/recommendations", { requests: [question(state)] }, { signal: state.signal })).results[0];
    if (mine !== turn || state.signal.aborted) return;
    learnTitles(answer.items);
    draw(state, answer, clicked);
  } catch (error) {
    if (error.name === "AbortError" || mine !== turn) return;
    fill(state.answer, failure(error, () => recommend(state)));
  }
}

function draw(state, answer, clicked) {
  const before = state.list.querySelector("ol.ranking");
  const places = new Map([...(before?.children ?? [])].map((row) => [row.dataset.id, row.getBoundingClientRect().top]));
  const opened = new Set([...(before?.querySelectorAll("details[open]") ?? [])].map((each) => each.closest("li").dataset.id));
  if (clicked && opened.has(clicked.item_id) && answer.items.length) opened.add(answer.items[0].item_id);
  const ranks = clicked ? state.previous : null;
  const scale = widest(answer.items.map((item) => item.explanation));
  const [strategy, meaning] = STRATEGIES[answer.strategy] ?? [answer.strategy, ""];
  const rows = answer.items.map((item, at) => row(state, item, at, { scale, ranks, open: before ? opened.has(item.item_id) : at === 0 }));
  fill(state.head,
    h("h2", { class: "large", dir: "auto" }, state.asNew ? "For someone new" : `For ${answer.user_id}`),
    h("p", { class: "lead" }, h("strong", { class: "strategy" }, strategy), `: ${meaning}. `,
      h("span", { class: "muted" }, `Case\u00a0${answer.case}: ${KNOWN[answer.case] ?? ""}.`)));
  fill(state.answer,
    notes(answer),
    clicked ? h("p", { class: "moved-note" }, movedText(clicked, answer.items, ranks)) : null,
    answer.items.length ? h("ol", { class: "ranking" }, rows) : nothing("No item is left that fits", state.options.filters.length ? " these filters." : "."),
    h("p", { class: "foot muted" }, `Model ${answer.model_version}. Scores compare within this list only. ${saves ? "A click here is stored as an interaction." : "Clicks are not stored."}`));
  if (clicked) {
    say(movedText(clicked, answer.items, ranks));
    slide(state.list.querySelector("ol.ranking"), places);
  }
  state.previous = new Map(answer.items.map((item, at) => [item.item_id, at + 1]));
}

function notes(answer) {
  const lines = [];
  lines.push(...(answer.warnings ?? []).map((each) => `Of the filter or the boost: ${each}`));
  if (answer.ignored_features.length) lines.push(`Not learned, so they count for nothing: ${answer.ignored_features.join(", ")}.`);
  if (answer.degraded.length) lines.push(`Answered without: ${answer.degraded.join(", ")}. See Health.`);
  return lines.map((line) => h("p", { class: "note" }, line));
}

function row(state, item, at, { scale, ranks, open }) {
  const name = item.title || item.item_id;
  const moved = ranks ? badge(ranks.get(item.item_id), at + 1) : null;
  const button = h("button", { type: "button", class: "plain click", "aria-label": `Click ${name}`, on: { click: () => click(state, item, button) } }, "Click");
  const reasons = because(item.explanation, item.interactions);
  return h("li", { "data-id": item.item_id },
    h("span", { class: "rank" }, at + 1),
    h("div", { class: "what" },
      h("div", { class: "name" }, itemLink(item), moved, item.explored ? h("span", { class: "tag" }, "explored") : null),
      h("details", { open }, h("summary", {},
        h("span", { class: "reason" }, h("span", { class: "id" }, item.item_id), h("span", { title: "What was known of the person and of this item" }, `case ${item.case}`), h("span", {}, reasons || "why")),
        stack(item.explanation, scale)), bars(item.explanation, item.score, item.interactions))),
    button);
}

function badge(before, now) {
  if (before === undefined) return h("span", { class: "moved in" }, "new");
  if (before === now) return null;
  const up = before > now;
  return h("span", { class: `moved ${up ? "rose" : "fell"}`, "aria-label": `${up ? "up" : "down"} ${Math.abs(before - now)}` }, `${up ? "▲" : "▼"} ${Math.abs(before - now)}`);
}

function movedText(clicked, items, ranks) {
  const entered = items.filter((item) => !ranks.has(item.item_id)).length;
  const moved = items.filter((item, at) => ranks.has(item.item_id) && ranks.get(item.item_id) !== at + 1).length;
  const many = (number, one, more) => `${number} ${number === 1 ? one : more}`;
  return `After the click on ${clicked.title || clicked.item_id}: ${many(entered, "item came in", "items came in")}, ` +
    `${many(moved, "changed its place", "changed their places")}, ${items.length - entered - moved} stayed.`;
}

async function click(state, item, button) {
  button.disabled = true;
  const user = state.asNew ? invented.id : state.user;
  try {
    if (saves) {
      await post("v1/interactions", { interactions: [{ user_id: user, item_id: item.item_id, event: "click", event_id: newId() }] }, { signal: state.signal });
    } else {
      state.session.push(item.item_id);
    }
  } catch (error) {
    if (error.name === "AbortError") return;
    button.disabled = false;
    state.list.querySelector(".failure")?.remove();
    state.answer.prepend(failure(error));
    return;
  }
  await recommend(state, item);
  if (!state.asNew && saves) drawAbout(state, state.about).catch(() => { /* the list says it already */ });
  state.list.querySelector("ol.ranking button")?.focus({ preventScroll: true });
}

/** Not `randomUUID`, which a page that came over plain HTTP from another machine does not have. */
const newId = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** Let rows glide from where they were; new ones fade in. */
function slide(list, places) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const each of list.children) {
    const was = places.get(each.dataset.id);
    const timing = { duration: 480, easing: "cubic-bezier(.2,.7,.2,1)" };
    if (was === undefined) each.animate([{ opacity: 0, transform: "translateY(12px)" }, { opacity: 1, transform: "none" }], timing);
    else {
      const way = was - each.getBoundingClientRect().top;
      if (way) each.animate([{ transform: `translateY(${way}px)` }, { transform: "none" }], timing);
    }
  }
}
