// Rows of a file as the API takes them: which column is what, and which rows cannot be sent.

const KEYS = { interactions: ["user_id", "item_id"], users: ["user_id"], items: ["item_id"] };
export const FIELDS = { interactions: ["user_id", "item_id", "weight", "timestamp", "event", "event_id"], users: ["user_id"], items: ["item_id", "title", "available"] };
const OTHER_NAMES = {
  user_id: ["userid", "user", "customer_id", "uid"], item_id: ["itemid", "item", "movieid", "product_id", "productid", "movie_id"],
  weight: ["rating", "value", "score"], timestamp: ["time", "date", "datetime", "created_at", "ts"], event: ["event_type", "type", "action"], title: ["name"],
};
const BEGINS_WITH_A_DAY = /^\d{4}-\d\d-\d\d/;

/** What a file is: with users and items interactions, else the one of them. */
export function kindOf(columns) {
  const has = (field) => columns.some((name) => fieldOf(name, [field]) === field);
  return has("user_id") && has("item_id") ? "interactions" : has("user_id") ? "users" : "items";
}

function fieldOf(name, fields) {
  const plain = name.trim().toLowerCase();
  return fields.find((field) => field === plain) ?? fields.find((field) => OTHER_NAMES[field]?.includes(plain.replace(/[\s-]/g, "_"))) ?? null;
}

/** By column the field it is; users and items have features in all others, and null leaves a column out. */
export function mappingOf(columns, kind) {
  const taken = new Set();
  return Object.fromEntries(columns.map((name) => {
    const field = fieldOf(name, FIELDS[kind]);
    if (field && !taken.has(field)) { taken.add(field); return [name, field]; }
    return [name, kind === "interactions" ? null : "feature"];
  }));
}

/** Fields that a kind needs and no column is. */
export const missingFields = (mapping, kind) => KEYS[kind].filter((field) => !Object.values(mapping).includes(field));

/** Rows as bodies, and those that cannot be sent with their line, column and why. */
export function bodiesOf(rows, mapping, kind) {
  const [bodies, faults] = [[], []];
  const times = new Map();
  for (const row of rows) {
    try {
      const body = bodyOf(row.values, mapping);
      if (kind === "interactions" && body.event_id === undefined) body.event_id = eventId(body, times);
      bodies.push({ row, body });
    } catch (error) {
      faults.push({ line: row.line, column: error.column, text: error.message, row });
    }
  }
  return { bodies, faults };
}

function bodyOf(values, mapping) {
  const body = {};
  const features = {};
  for (const [name, field] of Object.entries(mapping)) {
    const value = typeof values[name] === "string" ? values[name].trim() : values[name];
    const absent = value === "" || value === null || value === undefined;
    if (field === null || (absent && !field.endsWith("_id")) || (absent && field === "event_id")) continue;
    if (field === "feature") features[name] = featureOf(value);
    else body[field] = READERS[field](value ?? "", name);
  }
  if (Object.keys(features).length) body.features = Object.keys(features).length === 1 && isObject(features.features) ? features.features : features;
  return body;
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

function refuse(column, text) {
  throw Object.assign(new Error(text), { column });
}

function idOf(value, column) {
  if (value === "") refuse(column, "there is no id");
  const text = String(value);
  if (new TextEncoder().encode(text).length > 256) refuse(column, "an id has up to 256 bytes");
  return text;
}

const READERS = {
  user_id: idOf, item_id: idOf, event_id: idOf, event: String, title: String,
  weight: (value, column) => (Number(value) > 0 && Number.isFinite(Number(value)) ? Number(value) : refuse(column, `${value} is no number above 0`)),
  timestamp: (value, column) => {
    const seconds = Number(value);
    if (seconds > Date.now() / 1000 + 86_400) refuse(column, `${value} is in the future: a time is in seconds`);
    if (Number.isFinite(seconds)) return seconds >= 0 ? seconds : refuse(column, `${value} is before 1970`);
    return BEGINS_WITH_A_DAY.test(value) ? String(value).replace(" ", "T").replace(/T\d\d:\d\d(:\d\d(\.\d+)?)?$/, "$&Z") : refuse(column, `${value} is neither seconds since 1970 nor a time as 2026-11-25T10:00:00Z`);
  },
  available: (value, column) => ({ true: true, 1: true, yes: true, false: false, 0: false, no: false }[String(value).toLowerCase()] ?? refuse(column, `${value} is neither true nor false`)),
};

/** A cell as a value: several by |, a number where it is one and keeps its spelling. */
function featureOf(value) {
  if (typeof value !== "string") return value;
  if (value.includes("|")) return value.split("|").map((each) => each.trim()).filter(Boolean);
  return value !== "" && String(Number(value)) === value ? Number(value) : value;
}

/** Made of what a row says, so that a file that is sent again counts once; rows that say the same are told apart. */
function eventId(body, times) {
  const text = JSON.stringify([body.user_id, body.item_id, body.weight, body.timestamp, body.event]);
  const nth = times.get(text) ?? 0;
  times.set(text, nth + 1);
  return `file-${hash(text, 1)}${hash(text, 2)}${nth ? `-${nth}` : ""}`;
}

/** 53 bits of a text (cyrb53): the digests of browsers are for pages over HTTPS alone. */
function hash(text, seed) {
  let one = 0xdeadbeef ^ seed, other = 0x41c6ce57 ^ seed;
  for (let at = 0; at < text.length; at += 1) {
    one = Math.imul(one ^ text.charCodeAt(at), 2654435761);
    other = Math.imul(other ^ text.charCodeAt(at), 1597334677);
  }
  one = Math.imul(one ^ (one >>> 16), 2246822507) ^ Math.imul(other ^ (other >>> 13), 3266489909);
  other = Math.imul(other ^ (other >>> 16), 2246822507) ^ Math.imul(one ^ (one >>> 13), 3266489909);
  return (4294967296 * (2097151 & other) + (one >>> 0)).toString(16).padStart(14, "0");
}
