// Tables of everything that is stored, page by page.

import { get } from "./api.js";
import { failure, fill, h, nothing } from "./dom.js";
import { count, featureText } from "./format.js";

const PAGE = 25;

/** Pages follow cursors, which only lead on: those that were seen are remembered for the way back. */
export async function paged(body, { what, label, columns, row, none, signal }) {
  const cursors = [null];
  let at = 0;
  async function draw(focus = null) {
    try {
      const page = await get(`v1/${what}`, { query: { cursor: cursors[at], limit: PAGE }, signal });
      cursors[at + 1] = page.next_cursor;
      fill(body, page[what].length ? table(page[what]) : at ? nothing("That was all.") : none(), turning(page[what].length));
      if (focus) ([...body.querySelectorAll(".pages button")].find((each) => each.textContent === focus && !each.disabled) ?? body.querySelector(".scroll"))?.focus({ preventScroll: true });
    } catch (error) {
      if (error.name !== "AbortError") fill(body, failure(error, draw));
    }
  }
  const turn = (by) => (event) => { at += by; draw(event.target.textContent); };
  const turning = (length) => (at || cursors[1] ? h("div", { class: "pages" },
    h("button", { type: "button", class: "plain", disabled: at === 0, on: { click: turn(-1) } }, "Earlier"),
    h("span", { class: "muted" }, length ? `${count(at * PAGE + 1)} to ${count(at * PAGE + length)}, least recently changed first` : ""),
    h("button", { type: "button", class: "plain", disabled: !cursors[at + 1], on: { click: turn(1) } }, "Further")) : null);
  const table = (rows) => h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, h("table", {},
    h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, rows.map((each) => h("tr", {}, row(each))))));
  await draw();
}

/** Features of a user or an item in one line. */
export const features = ({ features: own }) => Object.entries(own ?? {}).map(([name, value], at) =>
  [at ? h("span", { class: "muted" }, " · ") : null, h("span", { class: "muted" }, `${name} `), featureText(value)]);
