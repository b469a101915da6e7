// Experiments: what each variant did, how sure that is, what to do, and ending one.

import { every, get, path, post } from "./api.js";
import { seriesOf } from "./attribution.js";
import { interval } from "./charts.js";
import { curves, daysOf } from "./curves.js";
import { failure, fill, h, heading, nothing, say, to } from "./dom.js";
import { ago, count, moment, percent, signed } from "./format.js";

const DECISIONS = { wait: "Wait", ship: "Ship", rollback: "Roll back", invalid: "Invalid" };
const KINDS = { wait: "", ship: "active", rollback: "rejected", invalid: "rejected" };
const EVERYWHERE = "all users";

export async function show(root, parameters, signal) {
  const listed = (await get("v1/experiments", { signal })).experiments;
  const running = listed.filter((each) => each.status === "running");
  const name = parameters.get("name") ?? (running[0] ?? listed[0])?.name;
  const state = { signal, name, result: h("section", {}), days: h("section", {}), wrong: null };
  fill(root,
    h("h1", {}, "Experiments"),
    h("p", { class: "lead" }, "Users of a placement split over variants. Intervals hold at every look: stop whenever a decision is there."),
    listed.length ? h("div", { class: "segments", role: "group", "aria-label": "Experiment" }, listed.map((each) =>
      h("a", { href: to("experiments", { name: each.name }), "aria-current": each.name === name ? "true" : null }, each.name))) : nothing("None yet. ", h("code", {}, "PUT /v1/experiments/NAME"), " or ", h("code", {}, "recommender experiments start"), " begins one."),
    state.result, state.days);
  if (!name) return;
  await load(state);
  every(5, signal, () => load(state));
  every(60, signal, () => drawDays(state));
}

async function load(state) {
  state.found = await get(path`v1/experiments/${state.name}`, { signal: state.signal });
  draw(state, state.found);
}

/** Each variant day by day; not while somebody reads the table beneath. */
async function drawDays(state) {
  if (state.days.contains(document.activeElement)) return;
  const { name, placement, started_at, metric } = state.found;
  const query = { by: "variant", daily: true, placement: placement || undefined, from: started_at };
  try {
    const rows = (await get("v1/attribution", { query, signal: state.signal })).rows.filter((row) => row.experiment === name);
    const open = state.days.querySelector("details")?.open;
    fill(state.days, heading("Day by day", h("span", { class: "muted" }, "each day by itself, with Wilson's interval at 95 %")), rows.length
      ? [curves({ series: inOrder(seriesOf(rows, (row) => row.variant, metric.replace(/_rate$/, "")), state.found.variants), along: daysOf(rows), of: "day",
        what: metric.replace("_", " "), width: state.days.clientWidth || 720 }),
      h("p", { class: "hint" }, "Days tell whether a difference holds or came of one day. What decides is above: all days together, user by user, with intervals that hold at every look.")]
      : nothing("Nothing was shown to its users yet."));
    if (open) state.days.querySelector("details").open = true;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    fill(state.days, heading("Day by day"), failure(error));
    throw error;
  }
}

const inOrder = (series, variants) => variants.map((each) => series.find((own) => own.name === each.name)).filter(Boolean);

function draw(state, found) {
  const most = Math.max(...found.variants.map((each) => each.metric.high ?? each.metric.value), 1e-9);
  const chosen = state.result.querySelector("select")?.value;
  if (state.result.contains(document.activeElement)) return; // somebody is about to end it
  fill(state.result,
    heading(found.name, h("span", { class: "muted", title: moment(found.started_at) }, `on ${found.placement || EVERYWHERE}, begun ${ago(found.started_at)}`)),
    h("p", { class: "verdict" }, h("span", { class: `tag ${KINDS[found.decision]}` }, DECISIONS[found.decision]), " ", found.reason, "."),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Variants" }, h("table", { class: "variants" },
      h("thead", {}, h("tr", {}, ["Variant", "Users", "Exposures", found.metric.replace("_", " "), "", "To the first", "Empty", "p99"].map((text) => (text ? h("th", { scope: "col" }, text) : h("td", {}))))),
      h("tbody", {}, found.variants.map((each) => row(each, most, found.best))))),
    h("p", { class: "hint" }, `Sample-ratio mismatch: p = ${found.sample_ratio_p.toPrecision(2)}.`,
      found.exposures_needed ? ` A tenth more or less is beyond doubt at about ${count(found.exposures_needed)} exposures of each variant.` : null),
    state.wrong ? failure(state.wrong) : null,
    found.status === "ended" ? h("p", { class: "note" }, `Ended ${ago(found.ended_at)}${found.shipped ? `; ${found.shipped} was shipped` : ""}.`) : found.placement ? ending(state, found, chosen) : null);
}

function row(variant, most, best) {
  const { metric, difference } = variant;
  return h("tr", { class: variant.name === best ? "best" : null },
    h("td", {}, h("strong", {}, variant.name), " ", h("span", { class: "muted" }, percent(variant.share)), Object.keys(variant.settings).length ? h("div", { class: "id" }, JSON.stringify(variant.settings)) : null),
    h("td", { class: "number" }, count(variant.users)), h("td", { class: "number" }, count(variant.exposures)),
    h("td", { class: "number" }, metric.value.toFixed(4), h("div", { class: "muted" }, metric.low === null ? "no interval yet" : `${metric.low.toFixed(4)} to ${metric.high.toFixed(4)}`)),
    h("td", {}, interval(metric, most)),
    h("td", { class: "number" }, difference ? [signed(difference.value, 4), h("div", { class: "muted" }, difference.low === null ? null : `${signed(difference.low, 4)} to ${signed(difference.high, 4)}`)] : "–"),
    h("td", { class: "number" }, percent(variant.empty_share)), h("td", { class: "number" }, variant.p99_ms === null ? "–" : `${Math.round(variant.p99_ms)} ms`));
}

function ending(state, found, chosen) {
  const select = h("select", { id: "ship" }, h("option", { value: "" }, "Leave the placement as it is"), found.variants.map((each) => h("option", { value: each.name, selected: each.name === (chosen ?? found.best) }, `Ship ${each.name}`)));
  return h("form", { class: "row ending", on: { submit: (event) => { event.preventDefault(); end(state, found, select.value, event.submitter); } } },
    h("label", { class: "unseen", for: "ship" }, "What becomes of the placement"), select, h("button", { type: "submit", class: "main" }, "End it"));
}

async function end(state, found, ship, button) {
  button.disabled = true;
  state.wrong = null;
  try {
    await post(path`v1/experiments/${found.name}/end`, ship ? { ship } : {}, { signal: state.signal });
    say(`${found.name} has ended.`);
  } catch (error) {
    if (error.name === "AbortError") return;
    state.wrong = error;
  }
  button.blur();
  await load(state);
}
