// What there is: popular and latest items, and the pages of all items and users.

import { get, learnTitles } from "./api.js";
import { bar } from "./charts.js";
import { failure, fill, h, itemLink, nothing, to } from "./dom.js";
import { ago, count, featureText } from "./format.js";

const PAGE = 25;
const KINDS = { popular: "Popular", latest: "Latest", items: "All items", users: "All users" };

export async function show(root, parameters, signal) {
  const what = parameters.get("what") in KINDS ? parameters.get("what") : "popular";
  const filter = parameters.get("filter") ?? "";
  const body = h("div", {});
  fill(root,
    h("div", { class: "view-head" }, h("h1", {}, "Browse"),
      h("div", { class: "segments", role: "group", "aria-label": "What" }, Object.entries(KINDS).map(([name, text]) =>
        h("a", { href: to("browse", { what: name }), "aria-current": name === what ? "true" : null }, text)))),
    body);
  if (what === "popular" || what === "latest") await ranked(body, what, filter, signal);
  else await paged(body, what, signal);
}

async function ranked(body, what, filter, signal) {
  const field = h("input", { id: "browse-filter", type: "search", value: filter, placeholder: "genres:Comedy, -genres:Horror", autocomplete: "off", spellcheck: "false" });
  const list = h("div", {});
  fill(body, h("form", { class: "lookup", on: { submit: (event) => {
    event.preventDefault();
    location.hash = to("browse", { what, filter: field.value || undefined });
  } } }, h("label", { for: "browse-filter" }, "Only with, or with a minus without"), h("div", { class: "row" }, field, h("button", { type: "submit", class: "main" }, "Filter"))), list);
  try {
    const clauses = filter.split(",").map((each) => each.trim()).filter(Boolean);
    const { items } = await get(`v1/${what}`, { query: { k: PAGE, filter: clauses }, signal });
    learnTitles(items);
    const most = Math.max(...items.map((item) => item.score ?? 0), 1e-9);
    fill(list, items.length ? h("ol", { class: "neighbours ranked" }, items.map((item, at) => h("li", {},
      h("span", { class: "name" }, h("span", { class: "rank" }, at + 1), h("span", {}, itemLink(item), h("span", { class: "id" }, item.item_id))),
      what === "popular" ? [bar(item.score / most), h("span", { class: "amount" }, count(item.score))]
        : h("span", { class: "amount muted" }, ago(item.updated_at))))) : nothing(filter ? "No item passes this filter." : "The catalogue is empty."));
  } catch (error) {
    if (error.name !== "AbortError") fill(list, failure(error));
  }
}

/** Pages follow cursors, which only lead on: those that were seen are remembered for the way back. */
async function paged(body, what, signal) {
  const cursors = [null];
  let at = 0;
  async function draw() {
    try {
      const page = await get(`v1/${what}`, { query: { cursor: cursors[at], limit: PAGE }, signal });
      cursors[at + 1] = page.next_cursor;
      fill(body, page[what].length ? table(what, page[what]) : nothing(at ? "That was all." : "There are none yet."), turning(page[what].length));
    } catch (error) {
      if (error.name !== "AbortError") fill(body, failure(error, draw));
    }
  }
  const turning = (length) => h("div", { class: "pages" },
    h("button", { type: "button", class: "plain", disabled: at === 0, on: { click: () => { at -= 1; draw(); } } }, "Earlier"),
    h("span", { class: "muted" }, length ? `${count(at * PAGE + 1)} to ${count(at * PAGE + length)}, least recently changed first` : ""),
    h("button", { type: "button", class: "plain", disabled: !cursors[at + 1], on: { click: () => { at += 1; draw(); } } }, "Further"));
  await draw();
}

function table(what, rows) {
  const items = what === "items";
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": KINDS[what] }, h("table", {},
    h("thead", {}, h("tr", {}, (items ? ["Item", "Id", "Features", "Changed"] : ["User", "Features", "Changed"]).map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, rows.map((each) => items ? h("tr", {},
      h("td", {}, itemLink(each), each.available ? null : h("span", { class: "tag" }, "not available")),
      h("td", { class: "id" }, each.item_id), h("td", {}, features(each)), h("td", { class: "muted" }, ago(each.updated_at)))
      : h("tr", {},
        h("td", {}, h("a", { class: "title", href: to("recommend", { user: each.user_id }) }, each.user_id)),
        h("td", {}, features(each)), h("td", { class: "muted" }, ago(each.updated_at)))))));
}

const features = ({ features: own }) => Object.entries(own ?? {}).map(([name, value], at) =>
  [at ? h("span", { class: "muted" }, " · ") : null, h("span", { class: "muted" }, `${name} `), featureText(value)]);
