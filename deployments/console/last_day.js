// The last day as the service has kept it: requests and their latency by quarter of an hour, from GET /v1/metrics/history.

import { area } from "./charts.js";
import { asTable } from "./data_health.js";
import { h, heading, nothing } from "./dom.js";
import { ago, count, fixed, moment, ms } from "./format.js";

const QUARTER_S = 900;
const QUARTERS = 96;

/** The value that a share of all lies below, by a straight line within its bucket, as Prometheus has it. */
export function quantile(histogram, share) {
  if (!histogram) return NaN;
  const wanted = histogram.buckets.reduce((sum, each) => sum + each, 0) * share;
  if (!wanted) return NaN;
  let below = 0;
  for (const [at, size] of histogram.buckets.entries()) {
    if (below + size >= wanted) {
      const low = at ? histogram.bounds[at - 1] : 0;
      const high = histogram.bounds[at] ?? low;
      return low + (high - low) * ((wanted - below) / size);
    }
    below += size;
  }
  return NaN;
}

/** The last day, quarter by quarter; one in which nothing was asked has no latency. */
export function quartersOf({ bounds, minutes }, now) {
  const end = Math.ceil(now / QUARTER_S);
  const found = Array.from({ length: QUARTERS }, (_, at) => ({ from: (end - QUARTERS + at) * QUARTER_S, requests: 0, failed: 0, refused: 0, buckets: bounds.map(() => 0).concat(0) }));
  for (const minute of minutes) {
    const own = found[Math.ceil(minute.at / QUARTER_S) - 1 - (end - QUARTERS)];
    if (!own) continue;
    for (const name of ["requests", "failed", "refused"]) own[name] += minute[name];
    minute.buckets.forEach((amount, at) => { own.buckets[at] += amount; });
  }
  return found.map(({ buckets, ...own }) => ({ ...own, median: quantile({ bounds, buckets }, 0.5), slowest: quantile({ bounds, buckets }, 0.99) }));
}

export function lastDay(history) {
  const now = Date.now() / 1000;
  const quarters = quartersOf(history, now);
  const said = h("span", { class: "muted" }, history.since && history.since > now - QUARTERS * QUARTER_S ? `kept since ${moment(history.since)}` : "by quarter of an hour");
  if (!quarters.some((each) => each.requests)) return [heading("The last day", said), nothing("Nothing was asked yet. What is asked is here a minute later.")];
  const perSecond = quarters.map((each) => each.requests / Math.min(QUARTER_S, Math.max(60, now - each.from))); // the last one is not over
  const slowest = quarters.map((each) => (Number.isFinite(each.slowest) ? each.slowest : 0));
  const failed = quarters.reduce((sum, each) => sum + each.failed, 0);
  const ends = () => h("p", { class: "hint ends" }, h("span", {}, ago(quarters[0].from)), h("span", {}, "now"));
  return [
    heading("The last day", said),
    h("div", { class: "halves" },
      h("div", {}, h("h3", {}, `Requests a second, at most ${fixed(Math.max(...perSecond), 2)}`), area(perSecond, { label: `Requests a second over the last day, at most ${fixed(Math.max(...perSecond), 2)}`, least: 1e-9 }), ends()),
      h("div", {}, h("h3", {}, `99th percentile of latency, at most ${ms(Math.max(...slowest))}`), area(slowest, { label: `99th percentile of latency over the last day, at most ${ms(Math.max(...slowest))}`, least: 1e-9 }), ends())),
    h("p", { class: failed ? "note wrong" : "hint" }, failed ? `${count(failed)} of ${count(quarters.reduce((sum, each) => sum + each.requests, 0))} requests failed.` : "No request failed."),
    asTable("The last day by quarter of an hour", ["From", "Requests", "Failed", "Refused", "Median", "99th"], quarters.filter((each) => each.requests).map((each) =>
      [moment(each.from), count(each.requests), count(each.failed), count(each.refused), ms(each.median), ms(each.slowest)])),
  ];
}
