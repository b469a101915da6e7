// Attribution: what came of what was shown, over time and in all, by version, variant, placement, position or day.

import { get } from "./api.js";
import { interval } from "./charts.js";
import { curves, daysOf } from "./curves.js";
import { failure, fill, h, heading, nothing, to } from "./dom.js";
import { count, percent, rate, sentenceCase } from "./format.js";

const BY = { version: "Version", variant: "Variant", placement: "Placement", position: "Position", day: "Day" };
const PERIODS = { 7: "Last 7 days", 28: "Last 28 days", 90: "Last 90 days", all: "All that is kept" };
const EVERYTHING = "all together";

export async function show(root, parameters, signal) {
  const asked = {
    by: parameters.get("by") in BY ? parameters.get("by") : "version",
    days: parameters.get("days") in PERIODS ? parameters.get("days") : "28",
    placement: parameters.get("placement") ?? "",
    event: parameters.get("event") ?? "",
  };
  const body = h("div", { class: "attribution" }, nothing("Counting…"));
  const choose = h("div", { class: "choose" });
  fill(root,
    h("h1", {}, "Attribution"),
    h("p", { class: "lead" }, "What came of what was shown: the share of answers that an interaction followed from."),
    h("div", { class: "segments", role: "group", "aria-label": "By what" }, Object.entries(BY).map(([name, text]) =>
      h("a", { href: here(asked, { by: name }), "aria-current": name === asked.by ? "true" : null }, text))),
    choose, body);
  try {
    const [{ placements }, found] = await Promise.all([get("v1/placements", { signal }), load(asked, signal)]);
    const events = eventsOf(found.all);
    const event = events.includes(asked.event) ? asked.event : events[0] ?? (asked.event || "click");
    fill(choose, choices(asked, placements, events, event));
    draw(body, asked, found, event);
  } catch (error) {
    if (error.name !== "AbortError") fill(body, failure(error, () => dispatchEvent(new HashChangeEvent("hashchange"))));
  }
}

const here = (asked, changed) => {
  const { by, days, placement, event } = { ...asked, ...changed };
  return to("attribution", { by, days, placement: placement || undefined, event: event || undefined });
};

async function load({ by, days, placement }, signal) {
  const from = days === "all" ? undefined : Math.floor(Date.now() / 1000) - (Number(days) - 1) * 86_400;
  const query = { by, from, placement: placement || undefined };
  const ask = (more) => get("v1/attribution", { query: { ...query, ...more }, signal });
  const [all, daily] = await Promise.all([ask({}), by === "position" || by === "day" ? null : ask({ daily: true })]);
  return { all: all.rows, daily: daily?.rows ?? (by === "day" ? all.rows : []) };
}

/** Kinds of events, the most frequent first. */
function eventsOf(rows) {
  const sums = new Map();
  for (const row of rows) for (const [event, amount] of Object.entries(row.interactions)) sums.set(event, (sums.get(event) ?? 0) + amount);
  return [...sums].sort((one, other) => other[1] - one[1]).map(([event]) => event);
}

function choices(asked, placements, events, event) {
  const go = (changed) => { location.hash = here(asked, changed); };
  const select = (id, label, options, value, name) => {
    const made = h("select", { id, on: { change: (change) => go({ [name]: change.target.value }) } }, options.map(([key, text]) => h("option", { value: key }, text)));
    made.value = value;
    return h("div", {}, h("label", { for: id }, label), made);
  };
  return [
    select("attribution-days", "Time", [...Object.entries(PERIODS)].sort((one, other) => (Number(one[0]) || 1e9) - (Number(other[0]) || 1e9)), asked.days, "days"),
    select("attribution-placement", "Placement", [["", "All"], ...placements.map((each) => [each.name, each.name]),
      ...(asked.placement && !placements.some((each) => each.name === asked.placement) ? [[asked.placement, asked.placement]] : [])], asked.placement, "placement"),
    select("attribution-event", "Event", events.length ? events.map((each) => [each, each]) : [[event, event]], event, "event"),
  ];
}

const nameOf = (row, by) => {
  if (by === "variant") return `${row.experiment} · ${row.variant}`;
  if (by === "day") return EVERYTHING;
  return row[by] === undefined || row[by] === null ? "none" : String(row[by]);
};

/** A rate without any interaction is 0 of so many, as far as Wilson's interval can tell. */
function rateOf(row, event) {
  const told = row.rates[event];
  return { ...(told ?? { rate: 0, low: 0, high: wilsonOfNone(row.exposures) }), exposures: row.exposures };
}

const wilsonOfNone = (n, z = 1.959964) => (n ? (z * z) / (n + z * z) : 1);

/** Rows of days as series, by name. */
export function seriesOf(rows, named, event) {
  const found = new Map();
  for (const row of rows) {
    const name = named(row);
    if (!found.has(name)) found.set(name, { name, exposures: 0, points: new Map() });
    const own = found.get(name);
    own.exposures += row.exposures;
    if (row.exposures) own.points.set(row.day, rateOf(row, event));
  }
  return [...found.values()].sort((one, other) => one.name.localeCompare(other.name, "en", { numeric: true }));
}

function draw(body, asked, { all, daily }, event) {
  if (!all.length) {
    fill(body, nothing(asked.placement ? "Nothing was shown there in this time." : "Nothing was shown in this time.", " Every recommendation with a ",
      h("code", {}, "recommendation_id"), " counts as shown three to four seconds later."));
    return;
  }
  const width = body.clientWidth || 720;
  const what = `${event} rate`;
  const chart = asked.by === "position"
    ? { of: "position", along: all.map((row) => String(row.position)), series: [{ name: EVERYTHING, exposures: 0, points: new Map(all.map((row) => [String(row.position), rateOf(row, event)])) }] }
    : { of: "day", along: daysOf(daily), series: seriesOf(daily, (row) => nameOf(row, asked.by), event) };
  fill(body,
    h("section", {}, heading(`${sentenceCase(what)} by ${chart.of}`, h("span", { class: "muted" }, "with Wilson's interval at 95 %")),
      curves({ ...chart, what, width })),
    h("section", {}, heading(asked.by === "day" ? "Day by day" : "In all"), totals(asked.by, all, event)));
}

function totals(by, rows, event) {
  const most = Math.max(...rows.map((row) => rateOf(row, event).high), 1e-9);
  const ofItems = by !== "position";
  const names = [BY[by], "Shown", "Users", sentenceCase(`${event}s`), sentenceCase(`${event} rate`), "", ...(ofItems ? ["Coverage", "Discoverable"] : []), "Young shown", "Young chosen"];
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "In all" }, h("table", { class: "totals" },
    h("thead", {}, h("tr", {}, names.map((text, at) => (text ? h("th", { scope: "col", class: at ? "number" : null }, text) : h("td", {}))))),
    h("tbody", {}, rows.map((row) => {
      const own = rateOf(row, event);
      return h("tr", {},
        h("th", { scope: "row" }, by === "day" ? row.day : nameOf(row, by)),
        [count(row.exposures), count(row.users), count(row.interactions[event] ?? 0)].map((each) => h("td", { class: "number" }, each)),
        h("td", { class: "number" }, rate(own.rate), h("div", { class: "muted" }, `${rate(own.low)} to ${rate(own.high)}`)),
        h("td", {}, interval({ value: own.rate, ...own }, most)),
        (ofItems ? [row.coverage === undefined || row.coverage === null ? "–" : percent(row.coverage), count(row.discoverable)] : []).map((each) => h("td", { class: "number" }, each)),
        [percent(row.young_exposures), percent(row.young_interactions)].map((each) => h("td", { class: "number" }, each)));
    }))), h("p", { class: "hint" }, "Coverage: share of the catalogue that was shown. Discoverable: items with five such interactions or more. Young: first put or seen less than a week before."));
}
