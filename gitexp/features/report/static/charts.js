// Scales, axes and small drawings.

import { drawing, element } from "./elements.js";
import { formatNumber, ticks } from "./numbers.js";
import { button } from "./elements.js";

const MOST_SORTED = 20000;

export function scale(low, high, from, to) {
  const span = high - low || 1;
  return (value) => from + ((value - low) / span) * (to - from);
}

// The range that holds all but the outermost share of the values on the bad side.
export function rangeOf(values, direction, cut = 0.02) {
  const finite = values.filter(Number.isFinite);
  if (!finite.length) return [0, 1];
  const step = Math.ceil(finite.length / MOST_SORTED);
  const sorted = Float64Array.from(step > 1 ? finite.filter((_, n) => n % step === 0) : finite).sort();
  if (step > 1) [sorted[0], sorted[sorted.length - 1]] = finite.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
  const off = sorted.length > 20 ? Math.floor(sorted.length * cut) : 0;
  let low = direction === "minimize" ? sorted[0] : sorted[off];
  let high = direction === "minimize" ? sorted[sorted.length - 1 - off] : sorted[sorted.length - 1];
  if (low === high) [low, high] = [low - Math.abs(low || 1) * 0.05, high + Math.abs(high || 1) * 0.05];
  const room = (high - low) * 0.04;
  return [low - room, high + room];
}

export function axisLines(low, high, y, left, right, labels, most = 5) {
  return ticks(low, high, most).map((value) => [
    drawing("line", { class: "axis", x1: left, x2: right, y1: y(value), y2: y(value) }),
    drawing("text", { class: "tick", x: labels, y: y(value), "dominant-baseline": "middle" }, formatNumber(value, 3)),
  ]);
}

// A dot on a scale that all rows of a table share.
export function dotPlot(values, chosen, range, width = 150) {
  const x = scale(range[0], range[1], 6, width - 6);
  const clamp = (value) => Math.max(2, Math.min(width - 2, x(value)));
  return drawing("svg", { class: "dots", viewBox: `0 0 ${width} 18`, width, height: 18, "aria-hidden": "true", focusable: "false" },
    drawing("line", { class: "axis", x1: 0, x2: width, y1: 9, y2: 9 }),
    values.map((value) => drawing("circle", { class: "dot", cx: clamp(value), cy: 9, r: 2 })),
    chosen === null || chosen === undefined ? null : drawing("circle", { class: "dot best", cx: clamp(chosen), cy: 9, r: 4 }));
}

// A curve of a few points, on a scale that all curves of the grid share.
export function sparkline(curve, range, isBest) {
  const [width, height, points] = [76, 20, 24];
  const y = scale(range[0], range[1], height - 2, 2);
  const x = scale(0, points - 1, 1, width - 1);
  const at = (n) => curve.y[Math.round((n / (points - 1)) * (curve.y.length - 1))];
  const path = Array.from({ length: points }, (_, n) => `${x(n).toFixed(1)},${Math.max(1, Math.min(height - 1, y(at(n)))).toFixed(1)}`);
  return drawing("svg", { class: `spark${isBest ? " best" : ""}`, viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true", focusable: "false" },
    drawing("polyline", { points: path.join(" ") }));
}

// A drawing with its sentence below, and the same as a table on demand.
export function figure(sentence, inside, makeTable) {
  const place = element("div", { class: "as-table" });
  const show = makeTable
    ? button("Show as table", (event) => {
        const isOpen = place.firstChild !== null;
        place.replaceChildren(...(isOpen ? [] : [makeTable()]));
        event.target.textContent = isOpen ? "Show as table" : "Hide the table";
      }, { class: "link" })
    : null;
  return element("figure", { class: "figure" }, inside, element("figcaption", null, sentence, " ", show), place);
}
