// One item: what is stored of it, and what is like it.

import { get, learnTitles, path, put } from "./api.js";
import { bar } from "./charts.js";
import { failure, fill, h, heading, itemLink, nothing, say, to } from "./dom.js";
import { ago, featureText, fixed, isVector, moment } from "./format.js";
import { itemPicker } from "./picker.js";

export async function show(root, parameters, signal) {
  const id = parameters.get("id");
  const picker = itemPicker({ label: "Find an item", signal, chosen: (item) => { location.hash = to("item", { id: item.item_id }); } });
  const body = h("div", {});
  fill(root, picker, body);
  if (id === null) await drawStart(body, signal);
  else await drawItem(body, id, signal);
}

async function drawStart(body, signal) {
  const popular = await get("v1/popular", { query: { k: 12 }, signal });
  fill(body, h("h1", {}, "Items"), h("p", { class: "lead muted" }, "Look one up, or begin with what is popular."),
    popular.items.length ? h("ol", { class: "tiles" }, popular.items.map((item) =>
      h("li", {}, itemLink(item), h("span", { class: "id" }, item.item_id)))) : nothing("The catalogue is empty."));
}

async function drawItem(body, id, signal) {
  const orError = (asked) => asked.catch((error) => { if (error.name === "AbortError") throw error; return error; });
  const [item, alike] = await Promise.all([
    orError(get(path`v1/items/${id}`, { signal })),
    orError(get(path`v1/items/${id}/similar`, { query: { k: 12 }, signal })),
  ]);
  const stored = item instanceof Error ? null : item;
  if (item instanceof Error && item.status !== 404) throw item;
  if (!stored && alike instanceof Error) throw alike;
  fill(body,
    h("header", { class: "item-head" },
      h("h1", {}, stored?.title || id),
      h("p", { class: "muted" }, h("span", { class: "id" }, id), stored ? h("span", { title: moment(stored.updated_at) }, `changed ${ago(stored.updated_at)}`) : "nothing is stored of it")),
    h("div", { class: "columns" },
      h("section", { class: "side-column", "aria-label": "About the item" },
        stored ? availability(stored, signal) : null,
        h("h2", {}, "Features"),
        facts(stored?.features),
        h("p", {}, h("a", { class: "go", href: to("recommend", { recent: id }) }, "What would someone get who looked at this?"))),
      h("section", { class: "main-column", "aria-label": "Similar items" },
        heading("Like this", h("span", { class: "muted" }, "cosine")),
        alike instanceof Error ? failure(alike) : neighbours(alike.items))));
}

function facts(features) {
  const entries = Object.entries(features ?? {});
  if (!entries.length) return nothing("None.");
  return h("dl", { class: "facts" }, entries.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {},
    Array.isArray(value) && !isVector(value) ? h("span", { class: "chips" }, value.map((each) =>
      h("a", { class: "chip", href: to("browse", { what: "popular", filter: `${name}:${each}` }) }, each))) : featureText(value)))));
}

function neighbours(items) {
  learnTitles(items);
  if (!items.length) return nothing("Nothing is like it.");
  return h("ol", { class: "neighbours" }, items.map((item) => h("li", {},
    h("span", { class: "name" }, itemLink(item), h("span", { class: "id" }, item.item_id)),
    bar(item.score), h("span", { class: "amount" }, fixed(item.score, 3)))));
}

/** A switch that writes the item as it is stored, with only this changed. */
function availability(item, signal) {
  const said = h("span", {});
  const wrong = h("div", {});
  const button = h("button", { type: "button", role: "switch", class: "switch", "aria-labelledby": "available", on: { click: change } }, h("i", {}));
  const draw = () => {
    button.setAttribute("aria-checked", String(item.available));
    said.textContent = item.available ? "It is recommended." : "It is never recommended.";
  };
  async function change() {
    button.disabled = true;
    try {
      const { title, features } = item;
      Object.assign(item, await put(path`v1/items/${item.item_id}`, { title, features, available: !item.available }, { signal }));
      fill(wrong);
      draw();
      say(said.textContent);
    } catch (error) {
      if (error.name !== "AbortError") fill(wrong, failure(error));
    }
    button.disabled = false;
  }
  draw();
  return h("div", {}, h("div", { class: "available" }, h("div", {}, h("strong", { id: "available" }, "Available"), h("p", { class: "hint" }, said)), button), wrong);
}
