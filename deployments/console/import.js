// Import wizard: a file, what was understood of it, and sending it in batches with progress.

import { post } from "./api.js";
import { failure, fill, h, heading, nothing, say } from "./dom.js";
import { count, featureText, plural } from "./format.js";
import { FIELDS, bodiesOf, kindOf, mappingOf, missingFields } from "./import_rows.js";
import { readTable, toCsv } from "./table_reader.js";

const KINDS = { interactions: "Interactions", users: "Users", items: "Items" };
const BATCH = 1_000;
const LARGEST_BYTES = 100 * 2 ** 20;
const SHOWN_ROWS = 5;
const SHOWN_FAULTS = 20;
const MOST_REFUSED = 1_000;

export async function show(root, _, signal) {
  const state = { signal, understood: h("section", {}), sending: h("section", { "aria-live": "polite" }) };
  const file = h("input", { type: "file", id: "import-file", accept: ".csv,.tsv,.txt,.jsonl,.ndjson,.json", on: { change: () => open(state, file.files[0]) } });
  fill(root, h("h1", {}, "Import"),
    h("p", { class: "lead" }, "Interactions, users or items of a file. It is read in this tab; nothing is sent before you say so."),
    h("div", {}, h("label", { for: "import-file" }, "File: CSV with a line of names, or JSON lines"), file),
    h("p", { class: "hint" }, "Larger than 100 MB, Parquet, or a whole folder: ", h("code", {}, "recommender import FOLDER --url …"), "."), state.understood, state.sending);
}

async function open(state, file) {
  fill(state.understood);
  fill(state.sending);
  state.run = null;
  if (!file) return;
  if (file.size > LARGEST_BYTES) {
    fill(state.understood, failure({ title: "Too large for a browser", message: `${file.name} has ${count(file.size / 2 ** 20)} MB. Use recommender import.` }));
    return;
  }
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    fill(state.understood, failure({ title: "Not UTF-8", message: `${file.name} is no text in UTF-8. Save it as “CSV UTF-8”.` }));
    return;
  }
  state.table = readTable(text, file.name);
  state.name = file.name;
  state.kind = kindOf(state.table.columns);
  state.mapping = mappingOf(state.table.columns, state.kind);
  draw(state);
}

/** What was understood: columns, their fields, some rows, and what cannot be sent. */
function draw(state) {
  const { table, kind, mapping } = state;
  const missing = missingFields(mapping, kind);
  const { bodies, faults } = missing.length ? { bodies: [], faults: [] } : bodiesOf(table.rows, mapping, kind);
  const wrong = [...table.faults, ...faults].sort((one, other) => one.line - other.line);
  state.bodies = bodies;
  state.run = null; // whatever was being sent ends with its batch
  state.refused = wrong.map((each) => ({ values: each.row?.values ?? each.values ?? {}, why: each.text }));
  const kindField = h("select", { id: "import-kind", on: { change: () => { state.kind = kindField.value; state.mapping = mappingOf(table.columns, state.kind); draw(state); } } },
    Object.entries(KINDS).map(([name, text]) => h("option", { value: name }, text)));
  kindField.value = kind;
  fill(state.sending);
  fill(state.understood,
    heading("Understood", h("span", { class: "muted" }, `${state.name}: ${plural(table.rows.length, "row", "rows")}, ${plural(table.columns.length, "column", "columns")}`)),
    h("div", { class: "choose" }, h("div", {}, h("label", { for: "import-kind" }, "What they are"), kindField)),
    table.rows.length ? preview(state) : nothing("There is no row."),
    missing.length ? h("p", { class: "note wrong", role: "alert" }, `No column is ${missing.join(" or ")}. Choose it above.`) : null,
    wrong.length ? faultList(wrong) : missing.length || !table.rows.length ? null : h("p", { class: "note" }, "Every row can be sent."),
    h("div", { class: "row end" }, h("button", { type: "button", class: "main", disabled: !bodies.length, on: { click: (event) => { event.target.disabled = true; send(state, 0, { accepted: 0, duplicates: 0 }); } } },
      `Import ${plural(bodies.length, "row", "rows")}`)));
}

function preview(state) {
  const { table, kind, mapping } = state;
  const choices = [["", "Leave out"], ...FIELDS[kind].map((each) => [each, each]), ...(kind === "interactions" ? [] : [["feature", "A feature"]])];
  const select = (name) => {
    const made = h("select", { "aria-label": `What ${name} is`, on: { change: () => change(state, name, made.value || null) } }, choices.map(([value, text]) => h("option", { value }, text)));
    made.value = mapping[name] ?? "";
    return made;
  };
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Columns and first rows" }, h("table", { class: "columns-of-file" },
    h("thead", {}, h("tr", {}, table.columns.map((name) => h("th", { scope: "col" }, name))), h("tr", {}, table.columns.map((name) => h("td", {}, select(name))))),
    h("tbody", {}, table.rows.slice(0, SHOWN_ROWS).map(({ values }) => h("tr", {}, table.columns.map((name) => h("td", { dir: "auto" }, values[name] === undefined ? "" : featureText(values[name]))))))));
}

function change(state, name, field) {
  for (const [other, own] of Object.entries(state.mapping)) if (field && field !== "feature" && own === field) state.mapping[other] = null;
  state.mapping[name] = field;
  draw(state);
  [...state.understood.querySelectorAll("select")].find((each) => each.getAttribute("aria-label") === `What ${name} is`)?.focus();
}

const faultList = (faults) => h("div", { class: "failure" }, h("strong", {}, `${plural(faults.length, "row", "rows")} cannot be sent`),
  h("ul", {}, faults.slice(0, SHOWN_FAULTS).map((each) => h("li", {}, `Line ${each.line}${each.column ? `, column ${each.column}` : ""}: ${each.text}.`))),
  faults.length > SHOWN_FAULTS ? h("p", { class: "hint" }, `And ${count(faults.length - SHOWN_FAULTS)} more.`) : null);

/** Batch behind batch; after a failure it goes on where it stopped, and what was sent twice counts once. */
async function send(state, from, sums) {
  const run = state.run = {};
  const { bodies, kind, signal } = state;
  for (let at = from; at < bodies.length; at += BATCH) {
    progress(state, at, sums);
    try {
      await sendBatch(state, kind, bodies.slice(at, at + BATCH), sums);
    } catch (error) {
      if (error.name === "AbortError" || state.run !== run) return;
      progress(state, at, sums, failure(error, () => send(state, at, sums)));
      return;
    }
    if (state.run !== run || signal.aborted) return;
  }
  progress(state, bodies.length, sums);
  say(`${state.name} is imported.`);
}

/** One batch, without the rows that the service names as wrong. */
async function sendBatch(state, kind, batch, sums) {
  let left = batch.filter((each) => !each.isRefused);
  while (left.length) {
    try {
      const answer = await post(`v1/${kind}`, { [kind]: left.map((each) => each.body) }, { signal: state.signal });
      sums.accepted += answer.accepted ?? answer.created + answer.updated;
      sums.duplicates += answer.duplicates ?? 0;
      return;
    } catch (error) {
      const named = error.status === 422 && error.errors.map((each) => each.loc.match(/\[(\d+)\]/)).find(Boolean);
      if (!named || !left[named[1]] || state.refused.length >= MOST_REFUSED) throw error;
      const out = left[named[1]];
      out.isRefused = true;
      state.refused.push({ values: out.row.values, why: error.message });
      left = left.filter((each) => each !== out);
    }
  }
}

function progress(state, done, sums, wrong = null) {
  const all = state.bodies.length;
  const bar = h("i", {});
  bar.style.width = `${all ? (done / all) * 100 : 100}%`;
  fill(state.sending, heading(done < all ? "Importing" : "Imported", h("span", { class: "muted" }, `${count(done)} of ${count(all)}`)),
    h("div", { class: "import-bar", role: "progressbar", "aria-label": "Import", "aria-valuemin": 0, "aria-valuemax": all, "aria-valuenow": done }, bar),
    h("p", { class: "outcome" }, `${count(sums.accepted)} accepted, ${plural(sums.duplicates, "duplicate", "duplicates")}, ${count(state.refused.length)} refused.`),
    wrong, state.refused.length && (done >= all || wrong) ? download(state) : null);
}

function download(state) {
  const link = h("a", { class: "go", download: `refused-${state.name.replace(/\.\w+$/, "")}.csv`, href: URL.createObjectURL(new Blob([toCsv(state.table.columns, state.refused)], { type: "text/csv" })) }, "Download what was refused");
  return h("p", {}, link);
}
