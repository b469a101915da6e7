// How the service does: traffic, latency, freshness, parts and replicas. Numbers are those of GET /v1/metrics, added up
// over the replicas; rates are differences between two looks, and begin when this view is opened. The last day is kept there.

import { every, get } from "./api.js";
import { area, shares } from "./charts.js";
import { failure, fill, h, heading, nothing } from "./dom.js";
import { lastDay, quantile } from "./last_day.js";
import { ago, count, fixed, moment, ms, percent, span } from "./format.js";

const LOOK_EVERY_S = 2;
const KEPT = 90;
/** Asked to draw this page, or by a probe: nobody waits for these. */
const OWN = new Set(["/v1/status", "/v1/metrics", "/v1/metrics/history", "/", "/console/{name}", "/healthz", "/readyz"]);
const CASES = { I: "known, with features", II: "new, with features", III: "known, no features", IV: "nothing known" };
const STRATEGIES = { personalized: "Personalized", features: "From features", recent: "From recent items", popular: "Popular", none: "None" };

export async function show(root, _, signal) {
  const looks = [];
  const body = h("div", {});
  const day = h("section", { "aria-label": "The last day" });
  fill(root, h("h1", {}, "Health"), body, day);
  const look = async () => {
    try {
      const [status, metrics] = await Promise.all([get("v1/status", { signal }), get("v1/metrics", { signal })]);
      looks.push({ at: performance.now() / 1000, requests: total(theirs(metrics.counters, "recommender_requests")) });
      if (looks.length > KEPT) looks.shift();
      draw(body, status, metrics, looks);
    } catch (error) {
      if (error.name === "AbortError") return;
      body.querySelector(".failure")?.remove();
      body.prepend(failure(error));
      throw error;
    }
  };
  every(60, signal, async () => {
    if (day.contains(document.activeElement)) return; // somebody reads the table
    try {
      fill(day, lastDay(await get("v1/metrics/history", { signal })));
    } catch (error) {
      if (error.name !== "AbortError") fill(day, heading("The last day"), failure(error));
      throw error;
    }
  });
  await every(LOOK_EVERY_S, signal, look);
}

const of = (numbers, name) => numbers.filter((each) => each.name === name);
const theirs = (numbers, name) => of(numbers, name).filter((each) => !OWN.has(each.labels.route));
const total = (counters) => counters.reduce((sum, each) => sum + each.value, 0);

function grouped(counters, label) {
  const sums = new Map();
  for (const each of counters) sums.set(each.labels[label], (sums.get(each.labels[label]) ?? 0) + each.value);
  return [...sums].sort((one, other) => other[1] - one[1]);
}

/** Buckets of several histograms, added up. */
function merged(histograms) {
  if (!histograms.length) return null;
  const buckets = histograms[0].buckets.map((_, at) => histograms.reduce((sum, each) => sum + each.buckets[at], 0));
  return { bounds: histograms[0].bounds, buckets };
}

/** Requests a second between one look and the next; a replica that began anew does not count backwards. */
const rates = (looks) => looks.slice(1).map((each, at) => Math.max(0, each.requests - looks[at].requests) / (each.at - looks[at].at));

function draw(body, status, metrics, looks) {
  const requests = theirs(metrics.counters, "recommender_requests");
  const latency = merged(theirs(metrics.histograms, "recommender_request_seconds"));
  const failed = total(requests.filter((each) => each.labels.status.startsWith("5")));
  const perSecond = rates(looks);
  const lately = perSecond.slice(-5);
  const now = lately.length ? lately.reduce((sum, each) => sum + each, 0) / lately.length : NaN;
  const sound = Object.values(status.health).every((each) => each === "ok");
  const top = document.activeElement?.closest?.(".scroll")?.getAttribute("aria-label");
  fill(body,
    h("p", { class: "lead verdict" }, h("i", { class: sound ? "lamp ok" : "lamp wrong" }), sound ? "Every part is well." : "Not every part is well.",
      status.model_version ? h("span", { class: "muted" }, ` Model ${status.model_version} serves.`) : " No model serves yet."),
    h("dl", { class: "figures" },
      figure("Requests a second", Number.isFinite(now) ? fixed(now, now < 10 ? 1 : 0) : "…", "last ten seconds"),
      figure("Median latency", ms(quantile(latency, 0.5)), `99th ${ms(quantile(latency, 0.99))}`),
      figure("Failed", requests.length ? percent(failed / total(requests)) : "–", `${count(failed)} of ${count(total(requests))}, ${count(total(requests.filter((each) => each.labels.status.startsWith("4"))))} refused`, failed > 0),
      figure("Waiting to be learned", count(status.interactions_waiting), "interactions"),
      figure("Newest learned", span(status.seconds_since_newest_learned), "ago, by its own time")),
    h("section", {}, heading("Requests", h("span", { class: "muted" }, "a second, since this view was opened")),
      perSecond.length > 1 ? area(perSecond, { label: `Requests a second, now ${fixed(now, 1)}` }) : h("div", { class: "area-wait" }, "Looking…"),
      routes(metrics)),
    h("div", { class: "halves" },
      h("section", {}, heading("Answers by strategy"), split(grouped(of(metrics.counters, "recommender_answers"), "strategy"), (name) => [STRATEGIES[name] ?? name, ""])),
      h("section", {}, heading("Answers by case"), split(grouped(of(metrics.counters, "recommender_answers"), "case").sort(), (name) => [name, CASES[name] ?? ""]))),
    h("div", { class: "halves" }, h("section", {}, heading("Parts"), parts(status)), h("section", {}, heading("Replicas"), replicas(status, metrics))),
    h("p", { class: "foot muted" }, counting(metrics)));
  if (top) body.querySelector(`.scroll[aria-label="${top}"]`)?.focus({ preventScroll: true });
}

const figure = (name, value, note, wrong = false) => h("div", { class: wrong ? "wrong" : null }, h("dt", {}, name), h("dd", {}, h("b", {}, value), h("span", { class: "muted" }, note)));

function split(entries, named) {
  if (!entries.length) return nothing("No answer was given yet.");
  return shares(entries.map(([key, value]) => ({ name: named(key)[0], note: named(key)[1], value })), percent);
}

function routes(metrics) {
  const rows = grouped(theirs(metrics.counters, "recommender_requests").map((each) => ({ ...each, labels: { key: `${each.labels.method} ${each.labels.route}` } })), "key");
  if (!rows.length) return nothing("No request was answered yet.");
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Routes" }, h("table", { class: "numbers" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Route"), ["Requests", "Failed", "Median", "95th", "99th"].map((name) => h("th", { scope: "col", class: "number" }, name)))),
    h("tbody", {}, rows.slice(0, 12).map(([name, value]) => {
      const [method, route] = name.split(/ (.*)/s);
      const same = (each) => each.labels.route === route && each.labels.method === method;
      const own = merged(of(metrics.histograms, "recommender_request_seconds").filter(same));
      const failed = total(of(metrics.counters, "recommender_requests").filter((each) => same(each) && each.labels.status.startsWith("5")));
      return h("tr", {}, h("td", { class: "route" }, h("span", { class: "muted" }, `${method} `), route === "none" ? "no such route" : route),
        [count(value), count(failed), ...[0.5, 0.95, 0.99].map((share) => ms(quantile(own, share)))].map((each) => h("td", { class: "number" }, each)));
    }))));
}

function parts(status) {
  const names = { model_store: "Model store", predictors: "Predictors", feature_fetchers: "Feature fetchers", trainer: "Trainer", exposures: "What was shown", store: "Store" };
  const warnings = status.store?.warnings ?? [];
  return h("ul", { class: "plain-list parts" }, Object.entries(status.health).map(([name, said]) => h("li", {},
    h("i", { class: said === "ok" ? "lamp ok" : "lamp wrong", "aria-hidden": "true" }), h("span", {}, names[name] ?? name),
    h("span", { class: "muted" }, said === "ok" ? note(name, status) : said))),
  warnings.map((each) => h("li", { class: "warning" }, h("i", { class: "lamp warn", "aria-hidden": "true" }), h("span", {}, "Store"), h("span", { class: "muted" }, each))));
}

function note(name, status) {
  if (name === "store" && status.store) return `${status.store.engine} ${status.store.version}, ${fixed(status.store.latency_ms, 1)} ms`;
  if (name === "trainer") return status.training === "idle" ? "idle" : status.training ?? "";
  return "ok";
}

function replicas(status, metrics) {
  const behind = (each) => each.model_version !== status.model_version;
  const others = metrics.replicas.filter((each) => !status.replicas.some((other) => other.replica === each.replica));
  return h("ul", { class: "plain-list parts" },
    status.replicas.map((each) => h("li", {}, h("i", { class: behind(each) ? "lamp warn" : "lamp ok", "aria-hidden": "true" }), h("span", { class: "id" }, named({ deployment: "Predictor", ...each })),
      h("span", { class: "muted" }, each.model_version ? `model ${each.model_version} since ${span(Date.now() / 1000 - each.serving_since)}` : "no model yet"))),
    others.map((each) => h("li", {}, h("i", { class: "lamp ok", "aria-hidden": "true" }), h("span", { class: "id" }, named(each)), h("span", { class: "muted" }, `up ${span(Date.now() / 1000 - each.since)}`))));
}

const named = ({ deployment, replica }) => (replica.includes(deployment) ? replica : `${deployment} ${replica}`);

function counting(metrics) {
  const doors = metrics.replicas.filter((each) => each.deployment === "Ingress");
  if (!doors.length) return "No replica told its numbers in time.";
  const since = Math.min(...doors.map((each) => each.since));
  return `Counted by ${doors.length} ${doors.length === 1 ? "replica" : "replicas"} of Ingress, the first since ${moment(since)} (${ago(since)}); a replica that restarts begins at nothing. ` +
    "Probes, and what this page asks to draw itself, are left out. For alerts, let Prometheus read Ray's endpoint.";
}
