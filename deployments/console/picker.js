// A field that finds items while one types: a combobox with a list, as the ARIA practices describe it.

import { get, learnTitles } from "./api.js";
import { fill, h } from "./dom.js";

const PAUSE_MS = 120;
let made = 0;

/** A labelled field; `chosen` is called with the item, {item_id, title}. An id that is not found can be used as it is. */
export function itemPicker({ label, placeholder, chosen, signal }) {
  const id = `picker-${++made}`;
  let options = [];
  let active = -1;
  let timer = null;
  let asking = new AbortController();

  const list = h("ul", { id: `${id}-list`, role: "listbox", "aria-label": label, class: "options", hidden: true });
  const input = h("input", {
    id, type: "search", role: "combobox", autocomplete: "off", spellcheck: "false", placeholder: placeholder ?? "Title or id",
    "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": `${id}-list`,
    on: {
      input: () => { clearTimeout(timer); timer = setTimeout(search, PAUSE_MS); },
      keydown: onKey,
      blur: () => setTimeout(close, 150),
      focus: () => { if (input.value.trim() && list.hidden) search(); },
    },
  });

  async function search() {
    asking.abort();
    asking = new AbortController();
    const typed = input.value.trim();
    if (!typed) return close();
    try {
      const found = await get("v1/search", { query: { q: typed.slice(0, 256), k: 8 }, signal: asking.signal });
      learnTitles(found.items);
      options = found.items;
      if (!options.some((item) => item.item_id === typed)) options.push({ item_id: typed, title: null, asItIs: true });
      active = options[0].asItIs ? -1 : 0;
      draw();
    } catch (error) {
      if (error.name === "AbortError") return;
      options = [];
      active = -1;
      fill(list, h("li", { class: "option-note" }, error.message));
      open();
    }
  }

  function draw() {
    fill(list, options.map((item, at) => h("li", {
      id: `${id}-${at}`, role: "option", "aria-selected": at === active ? "true" : "false",
      on: { mousedown: (event) => { event.preventDefault(); choose(at); } },
    }, item.asItIs ? h("span", { class: "muted" }, `Use the id “${item.item_id}”`) : [
      h("span", { class: "option-title" }, item.title || item.item_id),
      item.title ? h("span", { class: "id" }, item.item_id) : null,
    ])));
    open();
  }

  function open() {
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    if (active >= 0) input.setAttribute("aria-activedescendant", `${id}-${active}`);
    else input.removeAttribute("aria-activedescendant");
  }

  function close() {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function choose(at) {
    const item = options[at];
    clearTimeout(timer);
    asking.abort();
    input.value = "";
    close();
    chosen({ item_id: item.item_id, title: item.title });
  }

  async function onKey(event) {
    if (event.key === "Escape") return close();
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden || !options.length) return undefined;
      active = (active + (event.key === "ArrowDown" ? 1 : -1) + options.length) % options.length;
      return draw();
    }
    if (event.key !== "Enter") return undefined;
    event.preventDefault();
    clearTimeout(timer);
    if (list.hidden || active < 0) await search();
    if (options.length) choose(Math.max(active, 0));
    return undefined;
  }

  signal?.addEventListener("abort", () => { clearTimeout(timer); asking.abort(); });
  return h("div", { class: "picker" }, h("label", { for: id }, label), input, list);
}
