// Users: finding one, the pages of all who are stored, and one user's page with all that they did.

import { get, path, titles } from "./api.js";
import { failure, fill, h, heading, itemLink, nothing, say, to } from "./dom.js";
import { ago, count, featureText, fixed, moment } from "./format.js";
import { features, paged } from "./paging.js";

const PAGE = 25;

export async function show(root, parameters, signal) {
  const id = parameters.get("id");
  const body = h("div", {});
  fill(root, finder(id), body);
  if (id !== null) await drawUser(body, id, signal);
  else await drawAll(body, signal);
}

function finder(id) {
  const field = h("input", { id: "find-user", type: "search", value: id ?? "", placeholder: "User id", autocomplete: "off", spellcheck: "false" });
  return h("form", { class: "lookup finder", on: { submit: (event) => { event.preventDefault(); if (field.value) location.hash = to("users", { id: field.value }); } } },
    h("label", { for: "find-user" }, "Find a user"), h("div", { class: "row" }, field, h("button", { type: "submit", class: "main" }, "Find")));
}

async function drawAll(body, signal) {
  const pages = h("div", {});
  fill(body, h("h1", {}, "Users"), h("p", { class: "lead" }, "Those of whom features are stored. Who only clicked is found by their id."), pages);
  await paged(pages, { what: "users", label: "All users", columns: ["User", "Features", "Changed"], signal, row: (each) => [
    h("td", {}, h("a", { class: "title", dir: "auto", href: to("users", { id: each.user_id }) }, each.user_id)),
    h("td", {}, features(each)), h("td", { class: "muted" }, ago(each.updated_at))],
  none: () => nothing("Nobody is stored yet. ", h("a", { class: "go", href: to("import") }, "Import a file")) });
}

async function drawUser(body, id, signal) {
  const orNull = (asked) => asked.catch((error) => { if (error.status === 404) return null; throw error; });
  const [stored, first, alike] = await Promise.all([
    orNull(get(path`v1/users/${id}`, { signal })),
    orNull(get(path`v1/users/${id}/interactions`, { query: { limit: PAGE }, signal })),
    orNull(get(path`v1/users/${id}/similar`, { query: { k: 8 }, signal })),
  ]);
  fill(body,
    h("header", { class: "item-head" }, h("h1", { dir: "auto" }, id),
      h("p", { class: "muted" }, stored ? h("span", { title: moment(stored.updated_at) }, `changed ${ago(stored.updated_at)}`) : first ? "no features are stored of them" : "nothing is known of them"),
      h("p", {}, h("a", { class: "go", href: to("recommend", { user: id }) }, "What they get"), h("a", { class: "go", href: to("compare", { user: id }) }, "Compare two lists for them"))),
    h("div", { class: "columns" },
      h("section", { class: "side-column", "aria-label": "About them" }, h("h2", {}, "Features"), facts(stored?.features),
        alike?.users.length ? [h("h2", {}, "People like them"), h("p", { class: "chips" }, alike.users.map((each) =>
          h("a", { class: "chip", href: to("users", { id: each.user_id }), title: `cosine ${fixed(each.score, 3)}` }, each.user_id)))] : null),
      h("section", { class: "main-column", "aria-label": "History" }, await history(id, first, signal))));
}

function facts(stored) {
  const entries = Object.entries(stored ?? {});
  return entries.length ? h("dl", { class: "facts" }, entries.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, featureText(value))))) : nothing("None.");
}

/** What they did, newest first, page behind page. */
async function history(id, first, signal) {
  if (!first) return [heading("History"), nothing("No interaction yet.")];
  const rows = h("tbody", {});
  const said = h("span", { class: "muted" });
  const wrong = h("div", {});
  const more = h("button", { type: "button", class: "plain", on: { click: further } }, "Show more");
  let cursor = null;
  async function add(page) {
    const named = await titles(page.interactions.map((each) => each.item_id), { signal });
    rows.append(...page.interactions.map((each) => h("tr", {},
      h("td", {}, itemLink({ item_id: each.item_id, title: named.get(each.item_id) })), h("td", {}, each.event ?? "–"),
      h("td", { class: "number" }, each.weight === 1 ? "" : fixed(each.weight, 1)), h("td", { class: "muted", title: moment(each.timestamp) }, ago(each.timestamp)))));
    cursor = page.next_cursor;
    more.hidden = !cursor;
    said.textContent = `${count(rows.children.length)}${cursor ? " newest" : ""}`;
  }
  async function further() {
    more.disabled = true;
    fill(wrong);
    try {
      await add(await get(path`v1/users/${id}/interactions`, { query: { limit: PAGE, cursor }, signal }));
      say(`${rows.children.length} interactions are shown.`);
    } catch (error) {
      if (error.name !== "AbortError") fill(wrong, failure(error));
    }
    more.disabled = false;
  }
  await add(first);
  return [heading("History", said), h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Interactions" }, h("table", {},
    h("thead", {}, h("tr", {}, ["Item", "Event", "Weight", "When"].map((name) => h("th", { scope: "col", class: name === "Weight" ? "number" : null }, name)))), rows)), wrong, h("div", { class: "pages" }, more)];
}
