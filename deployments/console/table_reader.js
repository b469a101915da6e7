// Tables of a file: CSV (RFC 4180, by comma, semicolon or tab) and JSON lines, read strictly: a row that is not as the
// others is a fault with its line, and its column where that is known.

const SEPARATORS = [",", ";", "\t"];

/** {columns, rows, faults}; a row is {line, values}, values by column. */
export function readTable(text, name) {
  const clean = text.replace(/^\ufeff/, "");
  return /\.(jsonl|ndjson|json)$/i.test(name) || /^\s*\{/.test(clean) ? readJsonLines(clean) : readCsv(clean);
}

function readJsonLines(text) {
  const [columns, rows, faults] = [new Set(), [], []];
  text.split(/\r?\n/).forEach((each, at) => {
    if (!each.trim()) return;
    try {
      const values = JSON.parse(each);
      if (values === null || typeof values !== "object" || Array.isArray(values)) throw new Error("not an object");
      for (const name of Object.keys(values)) columns.add(name);
      rows.push({ line: at + 1, values });
    } catch (error) {
      faults.push({ line: at + 1, text: `no JSON: ${error.message}`, values: { [[...columns][0] ?? "line"]: each } });
    }
  });
  return { columns: [...columns], rows, faults };
}

function readCsv(text) {
  const head = text.slice(0, text.search(/\r?\n|$/));
  const separator = SEPARATORS.reduce((best, each) => (head.split(each).length > head.split(best).length ? each : best));
  const faults = [];
  const [first, ...records] = [...recordsOf(text, separator, faults)];
  if (!first) return { columns: [], rows: [], faults: [{ line: 1, text: "the file is empty" }] };
  const columns = first.cells.map((each) => each.trim());
  const twice = columns.find((each, at) => columns.indexOf(each) !== at);
  if (twice !== undefined) return { columns, rows: [], faults: [{ line: 1, column: twice, text: "this column is there twice" }] };
  const rows = [];
  for (const { line, cells } of records) {
    if (cells.length === 1 && cells[0] === "") continue;
    const values = Object.fromEntries(columns.map((name, at) => [name, cells[at] ?? ""]));
    if (cells.length === columns.length) rows.push({ line, values });
    else faults.push({ line, text: `${cells.length} cells, where there are ${columns.length} columns`, values });
  }
  return { columns, rows, faults };
}

/** Records with the line on which each begins. */
function* recordsOf(text, separator, faults) {
  let [at, line] = [0, 1];
  while (at < text.length) {
    const begin = line;
    const cells = [];
    for (;;) {
      let cell = "";
      if (text[at] === '"') {
        const opened = line;
        for (at += 1; ; at += 1) {
          if (at >= text.length) { faults.push({ line: opened, text: "a quotation mark is not closed" }); return; }
          if (text[at] === '"') { if (text[at + 1] !== '"') break; at += 1; }
          if (text[at] === "\n") line += 1;
          cell += text[at];
        }
        at += 1;
      } else {
        const start = at;
        while (at < text.length && text[at] !== separator && text[at] !== "\n" && text[at] !== "\r") at += 1;
        cell = text.slice(start, at);
      }
      cells.push(cell);
      if (text[at] !== separator) break;
      at += 1;
    }
    while (at < text.length && text[at] !== "\n") at += 1;
    at += 1;
    line += 1;
    yield { line: begin, cells };
  }
}

const CSV_CELL = /[",\r\n]/;

/** Rows as CSV again, with why each was refused. */
export function toCsv(columns, rows) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
    return CSV_CELL.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [[...columns, "refused"], ...rows.map(({ values, why }) => [...columns.map((name) => values[name]), why])].map((each) => each.map(cell).join(",")).join("\n") + "\n";
}
