// Numbers and times as people read them.

const MINUS = "\u2212";
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** A count: 12,345. */
export const count = (value) => (value === null || value === undefined ? "–" : whole.format(value));

/** Words that begin a line. */
export const sentenceCase = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** So many of something, in the form that its number wants. */
export const plural = (number, one, more) => `${count(number)} ${number === 1 ? one : more}`;

/** A number with so many digits behind the point, and a true minus. */
export const fixed = (value, digits = 2) => value.toFixed(digits).replace("-", MINUS);

/** How many digits behind the point a number wants: a large one none. */
export const digits = (value) => (Math.abs(value) >= 100 ? 0 : 2);

/** A number that always shows its sign. */
export const signed = (value, digits = 2) => (value > 0 ? "+" : "") + fixed(value, digits);

/** A share of one as per cent. */
export function percent(share) {
  if (!Number.isFinite(share)) return "–";
  const value = share * 100;
  return `${value > 0 && value < 1 ? "<1" : value < 100 && value > 99 ? ">99" : Math.round(value)} %`;
}

/** A rate as per cent, with as many digits as tell one small rate from another. */
export function rate(share) {
  if (!Number.isFinite(share)) return "–";
  const value = share * 100;
  return `${Number(value.toFixed(value >= 10 ? 1 : 2))} %`;
}

/** Milliseconds, from seconds. */
export function ms(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const value = seconds * 1000;
  return value >= 1000 ? `${fixed(seconds, 1)} s` : `${value >= 10 ? Math.round(value) : fixed(value, 1)} ms`;
}

/** A span of time in its largest unit. */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  for (const [unit, size] of [["year", 31557600], ["day", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= size * (unit === "day" ? 2 : 1)) {
      const value = Math.floor(seconds / size);
      return `${value} ${unit}${unit.length > 3 || unit === "day" ? (value === 1 ? "" : "s") : ""}`;
    }
  }
  return `${Math.round(seconds)} s`;
}

/** How long ago a moment was; `moment` in seconds since the epoch. */
export function ago(moment) {
  const seconds = Date.now() / 1000 - moment;
  return seconds < 5 ? "just now" : `${span(seconds)} ago`;
}

/** A moment as date and time of this machine. */
export const moment = (seconds) =>
  new Date(seconds * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });

/** Whether a feature's value is a dense vector: a list of numbers. */
export const isVector = (value) => Array.isArray(value) && typeof value[0] === "number";

/** A feature's value as text; of a dense vector its length. */
export const featureText = (value) =>
  (isVector(value) ? `vector of ${count(value.length)} numbers` : Array.isArray(value) ? value.join(", ") : String(value));

const CONTRIBUTIONS = {
  item_id: "this very item",
  new_item: "nobody has tried it yet",
  history: "all they have chosen",
  popularity: "popularity",
};

/** A contribution's name in words. */
export function contributionName(name) {
  if (name in CONTRIBUTIONS) return CONTRIBUTIONS[name];
  const bucket = name.match(/^(.+) [[(](.+), (.+)[\])]$/);
  return bucket ? `${bucket[1]} ${bucket[2]} to ${bucket[3]}` : name.replace("=", ": ");
}
