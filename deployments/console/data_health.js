// Health of the data: what a training saw of it, and what is otherwise than at the training before.

import { area, shares } from "./charts.js";
import { h, heading, nothing, sentence } from "./dom.js";
import { count, percent } from "./format.js";

const MOST_FEATURES = 12;

/** The newest of several versions of which something is known. */
export function dataHealth(models) {
  const version = models.find((each) => each.data);
  if (!version) return [heading("Data"), nothing("No training has told of its data yet.")];
  const { data } = version;
  const days = Object.entries(data.by_day).sort();
  return [
    heading("Data", h("span", { class: "muted" }, `what version ${version.version} was given`)),
    data.changes.length ? h("ul", { class: "changes-of-data" }, data.changes.map((each) => h("li", { class: "note wrong" }, sentence(each))))
      : h("p", { class: "note" }, "Nothing is otherwise than at the training before, as far as is told."),
    h("div", { class: "halves" },
      h("div", {}, h("h3", {}, `${count(data.interactions)} new interactions by day`), days.length > 1
        ? [area(days.map(([, amount]) => amount), { label: `Interactions by day, ${days[0][0]} to ${days.at(-1)[0]}, at most ${count(Math.max(...days.map(([, amount]) => amount)))}` }),
          h("p", { class: "hint ends" }, h("span", {}, days[0][0]), h("span", {}, days.at(-1)[0])), asTable("Interactions by day", ["Day", "Interactions"], days.map(([day, amount]) => [day, count(amount)]))]
        : nothing("Too few days."),
      h("p", { class: "hint" }, `${percent(data.without_timestamp)} without a time. `, data.popularity_shift === null ? null : `Distance from what was popular before: ${data.popularity_shift.toFixed(2)} of 1.`)),
      h("div", {}, h("h3", {}, "By event"), data.interactions ? shares(Object.entries(data.by_event).sort((one, other) => other[1] - one[1]).slice(0, 5).map(([name, value]) => ({ name, value })), percent) : nothing("None."))),
    h("div", { class: "halves" }, side("Users", data.users), side("Items", data.items)),
  ];
}

function side(name, seen) {
  const features = Object.entries(seen.features).sort((one, other) => other[1] - one[1]).slice(0, MOST_FEATURES);
  return h("div", {}, h("h3", {}, `${name}: ${count(seen.seen)} seen`), h("p", { class: "hint" }, `${percent(seen.without_features)} without features.`),
    features.length ? h("dl", { class: "facts" }, features.map(([feature, share]) => h("div", {}, h("dt", {}, feature), h("dd", {}, `${percent(share)} have it`)))) : null);
}

/** Numbers of a chart, for whoever wants them. */
export const asTable = (label, columns, rows) => h("details", { class: "as-table" }, h("summary", {}, "As a table"),
  h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, h("table", {},
    h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, rows.map((row) => h("tr", {}, row.map((each) => h("td", {}, each))))))));
