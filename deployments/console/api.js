// The service, asked over its own HTTP API.

import { sentence } from "./dom.js";

const KEY = "api-key";

/** An answer that is an error: the detail of its problem is the message. */
export class Problem extends Error {
  constructor(status, title, detail, errors = []) {
    super(detail);
    this.status = status;
    this.title = title;
    this.errors = errors;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

/** A path whose ids are escaped: path`v1/items/${id}`. */
export function path(parts, ...ids) {
  return parts.reduce((whole, part, at) => whole + segment(ids[at - 1]) + part);
}

function segment(id) {
  if (id === "." || id === "..") {
    throw new Problem(0, "A browser cannot ask this", `“${id}” means a folder to a browser; ask with another client.`);
  }
  try {
    return encodeURIComponent(id);
  } catch {
    throw new Problem(0, "Not an id", "An id is UTF-8; this one has half of a character.");
  }
}

export const get = (where, { query, signal } = {}) => ask("GET", where, { query, signal });
export const post = (where, body, { signal } = {}) => ask("POST", where, { body, signal });
export const put = (where, body, { signal } = {}) => ask("PUT", where, { body, signal });

async function ask(method, where, { query, body, signal }) {
  const url = new URL(where, document.baseURI.replace(/[#?].*$/, ""));
  for (const [name, value] of Object.entries(query ?? {})) {
    for (const each of [value].flat()) if (each !== undefined && each !== null) url.searchParams.append(name, each);
  }
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  if (key.get()) headers.authorization = `Bearer ${key.get()}`;
  let answer;
  try {
    answer = await fetch(url, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "No answer", "The service cannot be reached. It may be starting, or it has ended.");
  }
  const text = await answer.text();
  if (answer.ok) return text ? JSON.parse(text) : null;
  throw problemOf(answer, text);
}

function problemOf(answer, text) {
  let said = {};
  try {
    said = JSON.parse(text) ?? {};
  } catch { /* a proxy in front answers in words of its own */ }
  const detail = said.detail || `The service answered ${answer.status} and did not say why.`;
  const wait = answer.headers.get("retry-after");
  const problem = new Problem(answer.status, said.title || answer.statusText || `Error ${answer.status}`,
    sentence(detail) + (wait ? ` Try again in ${wait} s.` : ""), said.errors);
  if (answer.status === 401) dispatchEvent(new CustomEvent("needs-key", { detail: problem }));
  return problem;
}

const known = new Map();

/** Titles of items by id, remembered; an item without a title or of which nothing is stored has none. */
export async function titles(ids, { signal } = {}) {
  const missing = [...new Set(ids)].filter((id) => !known.has(id));
  await Promise.all(missing.map(async (id) => {
    try {
      known.set(id, (await get(path`v1/items/${id}`, { signal })).title ?? null);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      if (error.status === 404) known.set(id, null);
    }
  }));
  return new Map(ids.map((id) => [id, known.get(id) ?? null]));
}

/** Remember titles that an answer brought. */
export function learnTitles(items) {
  for (const item of items) if (item.title) known.set(item.item_id, item.title);
}

/** Do something every so often while the view is shown and the page is looked at; slower while it fails. */
export function every(seconds, signal, doing) {
  let timer = null;
  let pause = seconds;
  async function turn() {
    if (signal.aborted) return;
    if (!document.hidden) {
      try {
        await doing();
        pause = seconds;
      } catch (error) {
        if (error.name === "AbortError") return;
        pause = Math.min(30, pause * 2);
      }
    }
    if (!signal.aborted) timer = setTimeout(turn, pause * 1000);
  }
  signal.addEventListener("abort", () => clearTimeout(timer));
  return turn();
}
