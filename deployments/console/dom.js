// Elements from plain values. Whatever comes from the service goes in as text, never as markup; the page's policy
// (require-trusted-types-for) refuses the other way altogether.

/** An element: properties, `class`, `aria-…` and `data-…`, listeners under `on`, children that are elements or text. */
export function h(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    else if (name === "value") made.value = value;
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  fill(made, ...children);
  return made;
}

/** An element of SVG. */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children.filter((each) => each !== null));
  return made;
}

/** Replace what is in an element. */
export function fill(parent, ...children) {
  const shown = children.flat(Infinity).filter((each) => each !== null && each !== undefined && each !== false);
  parent.replaceChildren(...shown.map((each) => (each instanceof Node ? each : String(each))));
  return parent;
}

/** Say something to whoever cannot see it happen. */
export function say(text) {
  document.getElementById("live").textContent = text;
}

/** Link to a view. */
export function to(view, parameters = {}) {
  const each = Object.entries(parameters).flatMap(([name, value]) => [value].flat().map((one) => [name, one]));
  const query = new URLSearchParams(each.filter(([, value]) => value !== undefined)).toString();
  return `#/${view}${query ? `?${query}` : ""}`;
}

/** A heading with what stands at its right end. */
export function heading(text, ...aside) {
  return h("div", { class: "heading" }, h("h2", {}, text), aside.length ? h("div", { class: "aside" }, aside) : null);
}

/** Something that went wrong, in words. */
export function failure(problem, again = null) {
  const more = (problem.errors ?? []).filter((each) => !problem.message.includes(each.msg));
  return h("div", { class: "failure", role: "alert" },
    h("strong", {}, problem.title ?? "Error"),
    h("p", {}, problem.message),
    more.length ? h("ul", {}, more.map((each) => h("li", {}, `${each.loc}: ${each.msg}`))) : null,
    again ? h("button", { type: "button", class: "plain", on: { click: again } }, "Try again") : null);
}

/** What stands where nothing is. */
export function nothing(...text) {
  return h("p", { class: "nothing" }, text);
}

/** Words of the service as a sentence. */
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

/** Title of an item, or its id where it has none, as a link to its page. */
export function itemLink(item) {
  return h("a", { href: to("item", { id: item.item_id }), class: "title", dir: "auto" }, item.title || item.item_id);
}
