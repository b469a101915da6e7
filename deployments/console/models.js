// Versions of the model: how good each is, which serves, and training a new one.

import { every, get, post, put } from "./api.js";
import { dots } from "./charts.js";
import { dataHealth } from "./data_health.js";
import { failure, fill, h, heading, nothing, say, sentence, to } from "./dom.js";
import { ago, count, fixed, moment, signed, span } from "./format.js";

const METRICS = ["ndcg@10", "precision@10", "recall@10", "auc"];
const STATUS = { active: "serving", ready: "ready", rejected: "rejected", canary: "being tried", rolled_back: "rolled back" };
const OUTCOMES = { published: "published", canary: "published, and is being tried", promoted: "tried and promoted", "rolled back": "tried and rolled back", rejected: "rejected by the gate", failed: "failed" };
let metric = METRICS[0];

export async function show(root, _, signal) {
  const state = { signal, head: h("div", {}), training: h("section", { class: "training" }), versions: h("section", {}), data: h("section", { "aria-label": "Health of the data" }), models: [], status: null, steps: [], key: "" };
  fill(root, h("h1", {}, "Models"), state.head, state.training, state.versions, state.data);
  await load(state);
  every(1, signal, () => follow(state));
}

async function load(state) {
  const [listed, status] = await Promise.all([get("v1/models", { signal: state.signal }), get("v1/status", { signal: state.signal })]);
  state.models = listed.models;
  state.status = status;
  state.key = keyOf(status);
  drawHead(state);
  drawVersions(state);
  drawTraining(state);
  fill(state.data, dataHealth(state.models));
}

const keyOf = (status) => JSON.stringify([status.model_version, status.pinned, status.last_training?.started_at]);

/** Look at the status each second: steps of a training as they come, and versions when something has changed. */
async function follow(state) {
  const status = await get("v1/status", { signal: state.signal });
  state.status = status;
  note(state);
  if (keyOf(status) !== state.key) await load(state);
  else drawTraining(state);
}

function note(state) {
  const { training } = state.status;
  if (!training || training === "idle") {
    if (state.steps.length && !state.steps.at(-1).end) state.steps.at(-1).end = Date.now();
    return;
  }
  const last = state.steps.at(-1);
  if (last && !last.end && last.name === training) return;
  if (last?.end) state.steps = [];
  else if (last) last.end = Date.now();
  state.steps.push({ name: training, begin: Date.now() });
}

function drawHead(state) {
  const { status, models } = state;
  const serving = models.find((each) => each.version === status.model_version);
  fill(state.head,
    serving ? h("p", { class: "lead" }, "Version ", h("strong", { class: "id-strong" }, serving.version), " serves, trained ",
      h("span", { title: moment(Date.parse(serving.created_at) / 1000) }, ago(Date.parse(serving.created_at) / 1000)),
      ` on ${count(serving.trained_on.interactions)} interactions of ${count(serving.trained_on.users)} users with ${count(serving.trained_on.items)} items.`)
      : h("p", { class: "lead" }, "No model serves yet."),
    status.pinned ? h("div", { class: "note pinned" }, h("p", {}, "This version was chosen by hand. New ones are trained, and wait."),
      h("button", { type: "button", class: "plain", on: { click: (event) => activate(state, "latest", event.target) } }, "Follow the latest again")) : null);
}

function drawTraining(state) {
  const { status } = state;
  const busy = Boolean(status.training) && status.training !== "idle";
  const last = status.last_training;
  const begin = (mode, text, hint) => h("div", {}, h("button", { type: "button", class: mode === "full" ? "plain" : "main", disabled: busy, on: { click: (event) => train(state, mode, event.target) } }, text), h("p", { class: "hint" }, hint));
  const focused = state.training.contains(document.activeElement) ? document.activeElement.textContent : null;
  fill(state.training,
    heading("Train now", h("span", { class: "muted" }, `${count(status.interactions_waiting)} waiting`)),
    h("div", { class: "train-row" },
      begin("incremental", "What is new", "Goes on from the serving version with what waits."),
      begin("full", "From scratch", "Learns everything again. Takes longer, forgets drift.")),
    busy || state.steps.length ? h("ol", { class: "steps", "aria-label": "Progress" }, state.steps.map((step) => h("li", { class: step.end ? "done" : "doing" },
      h("i", { "aria-hidden": "true" }), h("span", {}, step.name), h("span", { class: "muted" }, span(((step.end ?? Date.now()) - step.begin) / 1000))))) : null,
    busy ? h("div", { class: "working", role: "progressbar", "aria-label": "Training" }, h("i", {})) : null,
    last && !busy ? h("p", { class: last.outcome === "failed" ? "note wrong" : "outcome" },
      `The last training (${last.mode}) was ${OUTCOMES[last.outcome] ?? last.outcome}`.replace("was failed", "failed"), last.version ? [" as ", h("span", { class: "id" }, last.version)] : null,
      `, ${ago(last.started_at + last.seconds)}, after ${span(last.seconds)}.`, last.reason ? ` ${sentence(last.reason)}` : null) : null,
    state.wrong ? failure(state.wrong) : null);
  if (focused) [...state.training.querySelectorAll("button")].find((each) => each.textContent === focused)?.focus();
}

async function train(state, mode, button) {
  button.disabled = true;
  state.wrong = null;
  state.steps = [];
  try {
    await post("v1/models", { mode }, { signal: state.signal });
    say("A training has begun.");
    await follow(state);
  } catch (error) {
    if (error.name === "AbortError") return;
    state.wrong = error;
    drawTraining(state);
  }
}

async function activate(state, version, button) {
  button.disabled = true;
  state.wrongVersion = null;
  try {
    const active = await put("v1/models/active", { version }, { signal: state.signal });
    say(`Version ${active.version} serves.`);
    await load(state);
  } catch (error) {
    if (error.name === "AbortError") return;
    state.wrongVersion = error;
    drawVersions(state);
  }
}

function drawVersions(state) {
  const { models } = state;
  if (!models.length) {
    fill(state.versions, heading("Versions"), nothing("None yet. The first one comes from the dataset, or from interactions that were posted."));
    return;
  }
  const oldestFirst = [...models].reverse();
  const points = oldestFirst.filter((each) => Number.isFinite(each.metrics[metric])).map((each) => ({ value: each.metrics[metric], kind: each.status, name: short(each.version) }));
  const wide = state.versions.clientWidth || 720;
  const measured = METRICS.filter((name) => models.some((each) => Number.isFinite(each.metrics[name])));
  fill(state.versions,
    heading("Versions", h("div", { class: "segments small", role: "group", "aria-label": "Held-out metric" }, measured.map((name) =>
      h("button", { type: "button", "aria-pressed": String(name === metric), on: { click: () => { metric = name; drawVersions(state); } } }, name)))),
    state.wrongVersion ? failure(state.wrongVersion) : null,
    points.length > 1 ? dots(points.slice(-Math.max(5, Math.floor(wide / 70))), { width: wide, label: `${metric} on held-out interactions, version by version` }) : null,
    h("ol", { class: "versions" }, models.map((each, at) => version(state, each, models.slice(at + 1).find((older) => older.status !== "rejected")))));
}

const short = (name) => name.replace(/^0+(?=\d)/, "");

function version(state, model, before) {
  const serving = model.version === state.status.model_version;
  const isOlder = state.models.findIndex((each) => each === model) > state.models.findIndex((each) => each.version === state.status.model_version);
  const delta = (name) => (before && Number.isFinite(before.metrics[name]) ? model.metrics[name] - before.metrics[name] : null);
  return h("li", { class: serving ? "serving" : model.status },
    h("div", { class: "version-name" }, h("strong", { class: "id-strong" }, model.version), h("span", { class: `tag ${serving ? "active" : model.status}` }, STATUS[serving ? "active" : model.status] ?? model.status),
      h("span", { class: "muted", title: moment(Date.parse(model.created_at) / 1000) }, ago(Date.parse(model.created_at) / 1000))),
    model.reason && model.status === "rolled_back" ? h("p", { class: "metrics-none muted" }, sentence(model.reason)) : METRICS.every((name) => !Number.isFinite(model.metrics[name])) ? h("p", { class: "metrics-none muted" }, "Too little was new to judge it by.") : h("dl", { class: "metrics" }, METRICS.filter((name) => Number.isFinite(model.metrics[name])).map((name) => h("div", { class: name === metric ? "chosen" : null },
      h("dt", {}, name), h("dd", {}, fixed(model.metrics[name], 3), change(delta(name)))))),
    h("div", { class: "version-act" }, serving ? null : h("a", { class: "go", href: to("compare", { av: state.status.model_version, bv: model.version }), "aria-label": `Compare ${model.version} with what serves` }, "Compare"), serving ? null : model.status === "rejected" ? h("span", { class: "muted" }, "worse than what serves")
      : model.status === "canary" ? h("a", { class: "go", href: to("experiments", { name: `canary-${model.version}` }) }, "See how it does")
      : h("button", { type: "button", class: "plain", "aria-label": `${isOlder ? "Roll back to" : "Activate"} ${model.version}`, on: { click: (event) => activate(state, model.version, event.target) } }, isOlder ? "Roll back" : "Activate")));
}

function change(delta) {
  if (delta === null || Math.abs(delta) < 0.0005) return null;
  return h("span", { class: `delta ${delta > 0 ? "rose" : "fell"}` }, signed(delta, 3));
}
