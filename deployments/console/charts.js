// Bars and lines. Lengths are set through the style object, which the page's policy allows; markup has none.

import { h, svg } from "./dom.js";
import { contributionName, digits, fixed, signed } from "./format.js";

/** A bar of a share of its track, 0 to 1. */
export function bar(share, kind = "") {
  const filled = h("span", { class: `bar-fill ${kind}` });
  filled.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return h("span", { class: "bar", "aria-hidden": "true" }, filled);
}

/** The widest amount on either side of zero, over several explanations. */
export function widest(explanations) {
  const sums = explanations.map((parts) => parts.reduce((sum, part) => sum + Math.abs(part.contribution), 0));
  return Math.max(...sums, 1e-9);
}

/** One line for a score: its parts side by side, those that lift it first. */
export function stack(explanation, scale) {
  const ordered = [...explanation].sort((one, other) => other.contribution - one.contribution);
  return h("span", { class: "stack", "aria-hidden": "true" }, ordered.map((part) => {
    const piece = h("i", { class: part.contribution < 0 ? "down" : "up", title: `${contributionName(part.feature)} ${signed(part.contribution)}` });
    piece.style.width = `${(Math.abs(part.contribution) / scale) * 100}%`;
    return piece;
  }));
}

/** An interval as a line with a dot, on the scale of all variants. */
export function interval(figure, most) {
  const share = (value) => `${Math.max(0, Math.min(1, value / most)) * 100}%`;
  const line = h("i", { class: "span" });
  const dot = h("i", { class: "dot" });
  if (figure.low !== null) {
    line.style.left = share(figure.low);
    line.style.right = `calc(100% - ${share(figure.high)})`;
  }
  dot.style.left = share(figure.value);
  return h("span", { class: "interval", "aria-hidden": "true" }, figure.low === null ? null : line, dot);
}

/** Each part of a score with a bar on its side of zero, and what single interactions add to it. */
export function bars(parts, score, interactions = []) {
  const most = Math.max(...parts.map((part) => Math.abs(part.contribution)), 1e-9);
  const least = parts.some((part) => part.contribution < 0);
  return h("div", { class: "why" },
    h("dl", { class: least ? "bars both" : "bars" }, parts.map((part) => {
      const filled = h("span", { class: part.contribution < 0 ? "down" : "up" });
      filled.style.width = `${(Math.abs(part.contribution) / most) * 100}%`;
      return h("div", {},
        h("dt", {}, contributionName(part.feature)),
        h("dd", {},
          h("span", { class: "side left", "aria-hidden": "true" }, part.contribution < 0 ? filled : null),
          h("span", { class: "side right", "aria-hidden": "true" }, part.contribution < 0 ? null : filled),
          h("span", { class: "amount" }, signed(part.contribution, digits(part.contribution)))));
    })),
    h("p", { class: "hint" }, `${fixed(score, digits(score))} in all.`),
    interactions.length ? h("p", { class: "hint chosen" }, `Of it by what they chose: ${interactions.map((each) =>
      `${each.title || each.item_id} ${signed(each.contribution, digits(each.contribution))}`).join(", ")}.`) : null);
}

/** The parts that lift a score most, as a phrase: the interaction that adds most comes first. */
export function because(explanation, interactions = []) {
  const lifting = explanation.filter((part) => part.contribution > 0 && !(part.feature === "history" && interactions.length));
  // every item has an identity and an age: what sets it apart are its features
  const telling = lifting.filter((part) => part.feature.includes("=") || part.feature.startsWith("boost "));
  const chosen = interactions.slice(0, 1).map((each) => `chose ${each.title || each.item_id}`);
  const features = (telling.length ? telling : lifting).map((part) => contributionName(part.feature).replace(/^[^:]+: /, ""));
  const names = [...chosen, ...features].slice(0, 3);
  if (!names.length) return "";
  return names.length === 1 ? names[0] : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

/** Shares of a whole as one bar and its legend. */
export function shares(parts, percentOf) {
  const whole = parts.reduce((sum, part) => sum + part.value, 0);
  return h("div", { class: "shares" },
    h("div", { class: "shares-bar", "aria-hidden": "true" }, parts.map((part, at) => {
      const piece = h("i", { class: `tone-${at % 5}` });
      piece.style.flexGrow = part.value;
      return piece;
    })),
    h("dl", { class: "legend" }, parts.map((part, at) => h("div", {},
      h("dt", {}, h("i", { class: `tone-${at % 5}`, "aria-hidden": "true" }), part.name, part.note ? h("span", { class: "muted" }, ` ${part.note}`) : null),
      h("dd", {}, percentOf(part.value / whole))))));
}

/** A line over time with its area; values rise from zero. */
export function area(values, { width = 640, height = 96, label, least = 1 }) {
  const most = Math.max(...values, least);
  const x = (at) => (values.length < 2 ? width : (at / (values.length - 1)) * width);
  const y = (value) => height - 2 - (value / most) * (height - 10);
  const line = values.map((value, at) => `${at ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join(" ");
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": label, class: "area" },
    svg("path", { d: `${line} L${width} ${height} L0 ${height} Z`, class: "area-fill" }),
    svg("path", { d: line, class: "area-line" }));
}

/** Two points or more in a row, joined but for those that were rejected. */
export function dots(points, { label, width = 720 }) {
  const [height, side, top, bottom] = [170, 44, 26, 30];
  const values = points.map((point) => point.value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = Math.max((high - low) * 0.25, 0.005);
  const [from, upTo] = [low - room, high + room];
  const x = (at) => side + at * ((width - side * 2) / (points.length - 1));
  const y = (value) => top + (1 - (value - from) / (upTo - from)) * (height - top - bottom);
  const drawn = points.map((point, at) => ({ ...point, x: x(at), y: y(point.value) }));
  const line = drawn.filter((point) => point.kind !== "rejected");
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "dots" },
    svg("line", { x1: 0, x2: width, y1: height - bottom + 4, y2: height - bottom + 4, class: "axis" }),
    svg("path", { d: line.map((point, at) => `${at ? "L" : "M"}${point.x.toFixed(1)} ${point.y.toFixed(1)}`).join(" "), class: "dots-line" }),
    ...drawn.flatMap((point) => [
      svg("circle", { cx: point.x, cy: point.y, r: point.kind === "active" ? 6.5 : 4.5, class: `dot-${point.kind}` }),
      svg("text", { x: point.x, y: point.y - 12, class: point.kind === "active" ? "dot-value strong" : "dot-value" }, document.createTextNode(fixed(point.value, 3))),
      svg("text", { x: point.x, y: height - bottom + 22, class: "dot-name" }, document.createTextNode(point.name)),
    ]));
}
