// What there is: popular and latest items, and the pages of all.

import { get, learnTitles } from "./api.js";
import { bar } from "./charts.js";
import { failure, fill, h, itemLink, nothing, to } from "./dom.js";
import { ago, count } from "./format.js";
import { features, paged } from "./paging.js";

const PAGE = 25;
const KINDS = { popular: "Popular", latest: "Latest", items: "All items" };

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
  else await paged(body, { what, label: KINDS.items, columns: ["Item", "Id", "Features", "Changed"], row: itemRow, none: empty, signal });
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
        : h("span", { class: "amount muted" }, ago(item.updated_at))))) : filter ? nothing("No item passes this filter.") : empty());
  } catch (error) {
    if (error.name !== "AbortError") fill(list, failure(error));
  }
}

const itemRow = (each) => [
  h("td", {}, itemLink(each), each.available ? null : h("span", { class: "tag" }, "not available")),
  h("td", { class: "id" }, each.item_id), h("td", {}, features(each)), h("td", { class: "muted" }, ago(each.updated_at))];

const empty = () => nothing("The catalogue is empty. ", h("a", { class: "go", href: to("import") }, "Import a file"));
