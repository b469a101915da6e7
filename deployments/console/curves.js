// Curves with intervals: a band, a line and a mark for each series, its table beside it, and what stands under the pointer.

import { fill, h, svg } from "./dom.js";
import { count, rate } from "./format.js";

export const MOST_SERIES = 5;
const HEIGHT = 260;
const [TOP, RIGHT, BOTTOM] = [14, 14, 30];
const LEAST_LABEL = 56;
/** One for each series, so that they are told apart without their colour. */
const MARKS = [
  (x, y) => svg("circle", { cx: x, cy: y, r: 4 }),
  (x, y) => svg("rect", { x: x - 3.5, y: y - 3.5, width: 7, height: 7 }),
  (x, y) => svg("path", { d: `M${x} ${y - 4.5} l4.5 8 h-9 Z` }),
  (x, y) => svg("path", { d: `M${x} ${y - 5} l5 5 l-5 5 l-5 -5 Z` }),
  (x, y) => svg("path", { d: `M${x} ${y + 4.5} l4.5 -8 h-9 Z` }),
];

/** All days from the first to the last of some rows, those without a row among them. */
export function daysOf(rows) {
  const days = rows.map((row) => row.day).sort();
  if (!days.length) return [];
  const found = [];
  for (let at = Date.parse(days[0]); at <= Date.parse(days.at(-1)); at += 86_400_000) found.push(new Date(at).toISOString().slice(0, 10));
  return found;
}

/**
 * A chart of rates over days or positions, with a table of the same numbers.
 *
 * `series` is a list of {name, exposures, points}, `points` maps a name of `along` to {rate, low, high, exposures}; `of`
 * says what `along` names are, `what` what the rate is of. The series with the most exposures are drawn.
 */
export function curves({ series, along, of, what, width }) {
  const largest = [...series].sort((one, other) => other.exposures - one.exposures).slice(0, MOST_SERIES);
  const told = series.filter((each) => largest.includes(each));
  const readout = h("p", { class: "readout", "aria-hidden": "true" });
  const label = `${what} by ${of}, ${along[0]} to ${along.at(-1)}: ${told.map((each) => `${each.name} ${last(each, along)}`).join("; ")}. The table below has all numbers.`;
  return h("figure", { class: "curves" },
    legend(told, series.length - told.length),
    chart(told, along, Math.max(280, width), label, readout),
    readout,
    h("details", { class: "as-table" }, h("summary", {}, "As a table"), table(told, along, of, what)));
}

function last(one, along) {
  const point = along.map((name) => one.points.get(name)).filter(Boolean).at(-1);
  return point ? `lately ${rate(point.rate)}` : "without exposures";
}

function legend(series, left) {
  return h("figcaption", {}, h("ul", { class: "curve-legend" }, series.map((each, at) => h("li", { class: `curve-${at}` },
    svg("svg", { viewBox: "0 0 14 14", width: 14, height: 14, "aria-hidden": "true" }, MARKS[at](7, 7)), h("span", {}, each.name)))),
  left > 0 ? h("p", { class: "hint" }, `${left} more with fewer exposures ${left === 1 ? "is" : "are"} in the table of all, not drawn.`) : null);
}

/** Steps of the axis: three to six round numbers from zero. */
function ticks(most) {
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= rough);
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, at) => at * step);
}

function chart(series, along, width, label, readout) {
  const points = series.flatMap((each) => [...each.points.values()]);
  const most = Math.min(1, Math.max(...points.map((point) => point.high), ...points.map((point) => point.rate * 1.2), 1e-6));
  const steps = ticks(most);
  const left = 12 + 7 * Math.max(...steps.map((each) => rate(each).length));
  const x = (at) => (along.length < 2 ? (left + width - RIGHT) / 2 : left + (at / (along.length - 1)) * (width - left - RIGHT));
  const y = (value) => TOP + (1 - value / most) * (HEIGHT - TOP - BOTTOM);
  const every = Math.max(1, Math.ceil((along.length * LEAST_LABEL) / (width - left)));
  const guide = svg("line", { y1: TOP, y2: HEIGHT - BOTTOM, class: "guide", visibility: "hidden" });
  const drawn = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": label, class: "curve" },
    ...steps.flatMap((each) => [
      svg("line", { x1: left, x2: width - RIGHT, y1: y(each), y2: y(each), class: "axis" }),
      svg("text", { x: left - 8, y: y(each) + 4, class: "tick end" }, document.createTextNode(rate(each)))]),
    ...along.flatMap((name, at) => (at % every ? [] : [svg("text", { x: x(at), y: HEIGHT - 8, class: "tick" }, document.createTextNode(short(name)))])),
    guide,
    ...series.map((each, at) => one(each, at, along, x, y)));
  drawn.addEventListener("pointermove", (event) => {
    const box = drawn.getBoundingClientRect();
    const wanted = ((event.clientX - box.left) / box.width) * width;
    const at = Math.max(0, Math.min(along.length - 1, Math.round(((wanted - left) / (width - left - RIGHT)) * (along.length - 1))));
    for (const end of ["x1", "x2"]) guide.setAttribute(end, x(at));
    guide.setAttribute("visibility", "visible");
    fill(readout, saidOf(series, along[at]));
  });
  drawn.addEventListener("pointerleave", () => { guide.setAttribute("visibility", "hidden"); fill(readout, "\u00a0"); });
  fill(readout, "\u00a0");
  return drawn;
}

const short = (name) => (/^\d{4}-\d\d-\d\d$/.test(name) ? name.slice(5) : name);

const saidOf = (series, name) => `${name}: ${series.filter((each) => each.points.has(name)).map((each) => {
  const point = each.points.get(name);
  return `${each.name} ${rate(point.rate)} (${rate(point.low)} to ${rate(point.high)})`;
}).join(", ") || "nothing was shown"}`;

/** A series, broken where nothing was shown. */
function one({ points }, number, along, x, y) {
  const runs = [];
  along.forEach((name, at) => {
    const point = points.get(name);
    if (!point) return;
    const drawn = { at, x: x(at), y: y(point.rate), low: y(point.low), high: y(point.high) };
    if (runs.at(-1)?.at(-1).at === at - 1) runs.at(-1).push(drawn);
    else runs.push([drawn]);
  });
  const spot = (each, name) => `${each.x.toFixed(1)} ${each[name].toFixed(1)}`;
  return svg("g", { class: `curve-${number}` },
    ...runs.map((run) => (run.length < 2 ? svg("line", { x1: run[0].x, x2: run[0].x, y1: run[0].low, y2: run[0].high, class: "whisker" })
      : svg("path", { d: `M${run.map((each) => spot(each, "high")).join(" L")} L${[...run].reverse().map((each) => spot(each, "low")).join(" L")} Z`, class: "band" }))),
    ...runs.filter((run) => run.length > 1).map((run) => svg("path", { d: `M${run.map((each) => spot(each, "y")).join(" L")}`, class: "line" })),
    ...(along.length > 45 ? runs.filter((run) => run.length < 2) : runs).flat().map((each) => MARKS[number](each.x, each.y)));
}

function table(series, along, of, what) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${what} by ${of}` }, h("table", {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, of), series.map((each) => h("th", { scope: "col", class: "number" }, each.name)))),
    h("tbody", {}, along.map((name) => h("tr", {}, h("th", { scope: "row" }, name), series.map((each) => {
      const point = each.points.get(name);
      return h("td", { class: "number" }, point ? [rate(point.rate), h("div", { class: "muted" }, `${rate(point.low)} to ${rate(point.high)}, of ${count(point.exposures)}`)] : "–");
    }))))));
}
