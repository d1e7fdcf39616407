// Space: which parameters were varied, which moved with the metric, where nothing was tried.

import { isSeedName, table } from "./actions.js";
import { axisLines, figure, rangeOf, scale } from "./charts.js";
import { button, clean, colour, drawing, element, foreign, heading, replaceChildren } from "./elements.js";
import { count, formatNumber, formatValue, ticks } from "./numbers.js";
import { showGrid } from "./runs.js";

const MOST_AXES = 9;
const MOST_DRAWN = 2000;
const FEW_VALUES = 8;
const AXIS_HEIGHT = 320;

export function spaceView(context) {
  const { search, state } = context;
  const metric = state.metric;
  const rows = context.matching().rows.filter((row) => search.counted(metric.name, row) !== null);
  if (rows.length < 2) return element("p", { class: "empty" }, "A search space needs two finished runs.");
  const axes = axesOf(context, rows);
  if (axes.length < 2) return element("p", { class: "empty" }, "Nothing was varied yet.");
  const chosen = brushed(context, rows, axes);
  const holder = element("div", { class: "parallel wide", tabindex: "0", role: "region", "aria-label": "Parallel coordinates" });
  const place = element("div", { class: "grid-place" });
  const drawn = chosen.length > MOST_DRAWN ? `every ${Math.ceil(chosen.length / MOST_DRAWN)}th of ` : "";
  const view = element("div", { class: "space" },
    chips(context, axes),
    figure(`${drawn}${count(chosen.length, "finished run")} of ${formatNumber(rows.length)} over ${count(axes.length - 1, "parameter")} that differ, the strongest first; ` +
      "darker (in the dark: lighter) is better. Drag along an axis, or use the arrow keys on it, to keep a range. The grid below is its table.", holder),
    element("div", { class: "two" }, scatterSection(context, chosen, axes), importanceSection(axes, metric, rows.length)),
    element("section", null, heading("Runs in the chosen ranges"), place));
  context.afterwards(() => {
    drawParallel(context, holder, axes, chosen, new Set(chosen));
    showGrid(context, place, chosen);
  });
  return view;
}

// --- axes -------------------------------------------------------------------------------------

function axesOf(context, rows) {
  const { search, state } = context;
  const values = rows.map((row) => search.counted(state.metric.name, row));
  const found = [];
  for (const key of search.columns.ofKind("params").slice(0, 400)) {
    if (isSeedName(key)) continue;
    const column = rows.map((row) => search.columns.get(key, row));
    const kinds = new Set(column);
    if (kinds.size < 2) continue;
    found.push({ ...axis(key, column, kinds), ...relation(column, values) });
  }
  found.sort((a, b) => Math.abs(b.strength) - Math.abs(a.strength));
  const metric = axis(`metrics.${state.metric.name}`, values, new Set(values), rangeOf(values, state.metric.direction));
  return [...found.filter((one, n) => n < MOST_AXES || one.key === state.get("sx")), { ...metric, isMetric: true }];
}

// A place between 0 and 1 for each value: even steps for choices and few numbers, else a scale.
function axis(key, column, kinds, range = null) {
  const numbers = [...kinds].filter((value) => typeof value === "number");
  const isNumeric = numbers.length === [...kinds].filter((value) => value !== null).length;
  const label = key.slice(key.indexOf(".") + 1);
  if (!range && (!isNumeric || kinds.size <= FEW_VALUES)) {
    const order = [...kinds].sort((a, b) => (a === null) - (b === null) || (isNumeric ? a - b : String(a) < String(b) ? -1 : 1));
    const places = new Map(order.map((value, n) => [value, order.length === 1 ? 0.5 : n / (order.length - 1)]));
    return { key, label, steps: order, at: (value) => places.get(value) ?? null };
  }
  const [low, high] = range || [Math.min(...numbers), Math.max(...numbers)];
  const isLog = !range && low > 0 && high / low > 25;
  const to = isLog ? scale(Math.log(low), Math.log(high), 0, 1) : scale(low, high, 0, 1);
  const at = (value) => (typeof value === "number" ? Math.max(0, Math.min(1, to(isLog ? Math.log(value) : value))) : null);
  const marks = isLog ? powers(low, high) : ticks(low, high, 5);
  return { key, label, low, high, isLog, marks, at };
}

function powers(low, high) {
  const found = [];
  for (let n = Math.ceil(Math.log10(low)); n <= Math.log10(high); n++) found.push(10 ** n);
  return found.length > 1 ? found : [low, high];
}

function ranks(values) {
  const order = values.map((value, n) => [value, n]).sort((a, b) => a[0] - b[0]);
  const found = new Array(values.length);
  for (let n = 0; n < order.length; ) {
    let end = n;
    while (end + 1 < order.length && order[end + 1][0] === order[n][0]) end++;
    for (let k = n; k <= end; k++) found[order[k][1]] = (n + end) / 2;
    n = end + 1;
  }
  return found;
}

// Spearman's rank correlation for numbers, the correlation ratio over ranks for choices.
export function relation(column, values) {
  const kept = column.map((value, n) => [value, values[n]]).filter(([value]) => value !== null);
  const distinct = new Set(kept.map(([value]) => value)).size;
  if (kept.length < 8) return { strength: 0, symbol: "", kinds: distinct };
  const y = ranks(kept.map(([, value]) => value));
  if (kept.every(([value]) => typeof value === "number")) {
    return { strength: correlation(ranks(kept.map(([value]) => value)), y), symbol: "ρ", kinds: distinct };
  }
  const groups = new Map();
  kept.forEach(([value], n) => groups.set(value, [...(groups.get(value) || []), y[n]]));
  const middle = y.reduce((sum, v) => sum + v, 0) / y.length;
  const total = y.reduce((sum, v) => sum + (v - middle) ** 2, 0);
  let between = 0;
  for (const members of groups.values()) between += members.length * (members.reduce((sum, v) => sum + v, 0) / members.length - middle) ** 2;
  return { strength: total ? Math.sqrt(between / total) : 0, symbol: "η", kinds: distinct };
}

function correlation(a, b) {
  const [ma, mb] = [a, b].map((v) => v.reduce((sum, x) => sum + x, 0) / v.length);
  let [ab, aa, bb] = [0, 0, 0];
  for (let n = 0; n < a.length; n++) {
    ab += (a[n] - ma) * (b[n] - mb);
    aa += (a[n] - ma) ** 2;
    bb += (b[n] - mb) ** 2;
  }
  return aa && bb ? ab / Math.sqrt(aa * bb) : 0;
}

// --- ranges -----------------------------------------------------------------------------------

// The ranges in the address: `key:from:to` in shares of the axis.
function brushesOf(state) {
  return new Map(state.list("brush").map((text) => {
    const [to, from, ...key] = text.split(":").reverse();
    return [key.reverse().join(":"), [Number(from), Number(to)]];
  }));
}

function setBrush(state, key, range) {
  const brushes = brushesOf(state);
  if (range) brushes.set(key, range);
  else brushes.delete(key);
  state.setList("brush", [...brushes].map(([name, [from, to]]) => `${name}:${from.toFixed(3)}:${to.toFixed(3)}`));
}

function brushed(context, rows, axes) {
  const brushes = [...brushesOf(context.state)].map(([key, range]) => ({ axis: axes.find((axis) => axis.key === key), range })).filter(({ axis }) => axis);
  return rows.filter((row) => brushes.every(({ axis, range }) => {
    const at = axis.at(context.search.columns.get(axis.key, row));
    return at !== null && at >= range[0] - 1e-9 && at <= range[1] + 1e-9;
  }));
}

function rangeText(axis, [from, to]) {
  if (axis.steps) return axis.steps.filter((value) => axis.at(value) >= from - 1e-9 && axis.at(value) <= to + 1e-9).map((value) => formatValue(value)).join(", ");
  return `${formatNumber(valueAt(axis, from), 3)} … ${formatNumber(valueAt(axis, to), 3)}`;
}

function valueAt(axis, share) {
  if (axis.isLog) return Math.exp(Math.log(axis.low) + share * (Math.log(axis.high) - Math.log(axis.low)));
  return axis.low + share * (axis.high - axis.low);
}

function filterText(axis, [from, to]) {
  const [space, ...parts] = axis.key.split(".");
  const name = parts.every((part) => /^[A-Za-z_]\w*$/.test(part)) ? axis.key : `${space}[${JSON.stringify(parts.join("."))}]`;
  if (axis.steps) {
    const kept = axis.steps.filter((value) => value !== null && axis.at(value) >= from - 1e-9 && axis.at(value) <= to + 1e-9);
    const literal = (value) => (typeof value === "string" ? JSON.stringify(value) : value === true ? "True" : value === false ? "False" : String(value));
    return `${name} in (${kept.map(literal).join(", ")}${kept.length === 1 ? "," : ""})`;
  }
  return `${Number(valueAt(axis, from).toPrecision(6))} <= ${name} <= ${Number(valueAt(axis, to).toPrecision(6))}`;
}

function chips(context, axes) {
  const { state } = context;
  const found = [...brushesOf(state)].map(([key, range]) => ({ axis: axes.find((axis) => axis.key === key), range })).filter(({ axis }) => axis);
  if (!found.length) return null;
  const toFilter = () => {
    const texts = found.map(({ axis, range }) => filterText(axis, range));
    const before = state.get("q").trim();
    state.set({ q: [before ? `(${before})` : "", ...texts].filter(Boolean).join(" and "), brush: "" });
  };
  return element("div", { class: "bar" }, found.map(({ axis, range }) => element("span", { class: "chip" }, foreign(axis.label, 30), " ", clean(rangeText(axis, range)), " ",
    button("×", () => setBrush(state, axis.key, null), { class: "link", "aria-label": `drop the range of ${clean(axis.label)}` }))), button("To filter", toFilter));
}

// --- parallel coordinates ---------------------------------------------------------------------

function drawParallel(context, holder, axes, chosen) {
  const { search, state } = context;
  const width = Math.max(640, holder.clientWidth);
  const canvas = element("canvas", { class: "lines", "aria-hidden": "true" });
  const ratio = devicePixelRatio || 1;
  canvas.width = width * ratio;
  canvas.height = AXIS_HEIGHT * ratio;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${AXIS_HEIGHT}px`;
  const x = scale(0, axes.length - 1, 50, width - 70);
  const y = scale(0, 1, AXIS_HEIGHT - 24, 36);
  const metric = axes[axes.length - 1];
  const isLow = state.metric.direction === "minimize";
  const goodness = (row) => {
    const at = metric.at(search.counted(state.metric.name, row)) ?? 0;
    return isLow ? 1 - at : at;
  };
  const sorted = [...chosen].sort((a, b) => goodness(a) - goodness(b));
  const every = Math.ceil(sorted.length / MOST_DRAWN);
  const drawn = every > 1 ? sorted.filter((_, n) => n % every === 0 || n >= sorted.length - 100) : sorted;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const [from, to] = ["ramp0", "ramp1"].map((name) => rgb(colour(name)));
  pen.globalAlpha = Math.max(0.15, Math.min(0.8, 120 / drawn.length + 0.1));
  for (const row of drawn) {
    const share = goodness(row);
    pen.strokeStyle = `rgb(${from.map((part, n) => Math.round(part + share * (to[n] - part))).join(",")})`;
    pen.beginPath();
    axes.forEach((axis, n) => {
      const at = axis.at(search.columns.get(axis.key, row));
      const spread = axis.steps ? (((row * 7919) % 101) / 101 - 0.5) * 0.04 : 0;
      pen[n ? "lineTo" : "moveTo"](x(n), y(at === null ? -0.06 : at + spread));
    });
    pen.stroke();
  }
  const box = element("div", { class: "axes" }, canvas, axes.map((axis, n) => axisBox(context, axis, x(n), y)));
  box.style.width = `${width}px`;
  box.style.height = `${AXIS_HEIGHT}px`;
  replaceChildren(holder, box);
}

function rgb(text) {
  const found = /^#(..)(..)(..)$/.exec(text);
  return found ? found.slice(1).map((part) => parseInt(part, 16)) : [128, 128, 128];
}

function axisBox(context, axis, x, y) {
  const { state } = context;
  const range = brushesOf(state).get(axis.key) || null;
  const marks = (axis.steps ? axis.steps.slice(0, 12) : axis.marks).map((value) => {
    const label = element("span", { class: "axis-mark" }, foreign(value === null ? "none" : formatValue(value, 3), 14));
    label.style.top = `${y(axis.at(value) ?? 0)}px`;
    return label;
  });
  const line = element("span", { class: "axis-line" });
  line.style.top = `${y(1)}px`;
  line.style.height = `${y(0) - y(1)}px`;
  const brush = range ? element("span", { class: "axis-brush" }) : null;
  if (brush) {
    brush.style.top = `${y(range[1]) - 3}px`;
    brush.style.height = `${y(range[0]) - y(range[1]) + 6}px`;
  }
  const slider = element("div", {
    class: "axis-box", tabindex: "0", role: "slider", "aria-orientation": "vertical", "aria-label": `range of ${clean(axis.label)}`,
    "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": String(Math.round(100 * (range ? range[1] : 1))),
    "aria-valuetext": range ? clean(rangeText(axis, range)) : "everything",
    on: { keydown: (event) => pressAxis(context, axis, range, event), pointerdown: (event) => drag(context, axis, y, event) },
  }, element("span", { class: `axis-name${axis.isMetric ? " strong" : ""}` }, foreign(axis.label, 18)), line, marks, brush);
  slider.style.left = `${x - 26}px`;
  return slider;
}

function pressAxis(context, axis, range, event) {
  const step = axis.steps && axis.steps.length > 1 ? 1 / (axis.steps.length - 1) : 0.05;
  const [from, to] = range || [0, 1];
  const moved = { ArrowUp: [from, to + step], ArrowDown: [from, to - step], ArrowRight: [from + step, to], ArrowLeft: [from - step, to] }[event.key];
  if (event.key === "Delete" || event.key === "Backspace") setBrush(context.state, axis.key, null);
  else if (moved) {
    const next = [Math.max(0, moved[0]), Math.min(1, moved[1])];
    if (next[0] <= next[1]) setBrush(context.state, axis.key, next[0] <= 0.001 && next[1] >= 0.999 ? null : next);
  } else return;
  event.preventDefault();
  context.focusAgain = `range of ${clean(axis.label)}`;
}

function drag(context, axis, y, event) {
  const box = event.currentTarget;
  const top = box.getBoundingClientRect().top;
  const share = (at) => Math.max(0, Math.min(1, (y(0) - (at - top)) / (y(0) - y(1))));
  const start = share(event.clientY);
  const shade = element("span", { class: "axis-brush" });
  box.append(shade);
  box.setPointerCapture(event.pointerId);
  const move = (to) => {
    const [low, high] = [Math.min(start, share(to.clientY)), Math.max(start, share(to.clientY))];
    shade.style.top = `${y(high)}px`;
    shade.style.height = `${y(low) - y(high)}px`;
  };
  const stop = (to) => {
    box.removeEventListener("pointermove", move);
    const ends = [Math.min(start, share(to.clientY)), Math.max(start, share(to.clientY))];
    shade.remove();
    setBrush(context.state, axis.key, ends[1] - ends[0] < 0.015 ? null : ends);
  };
  box.addEventListener("pointermove", move);
  box.addEventListener("pointerup", stop, { once: true });
}

// --- scatter and importance -------------------------------------------------------------------

function scatterSection(context, rows, axes) {
  const { search, state } = context;
  const key = state.get("sx") && axes.some((axis) => axis.key === state.get("sx")) ? state.get("sx") : axes[0].key;
  const axis = axes.find((one) => one.key === key);
  const select = element("select", { "aria-label": "across", on: { change: () => state.set({ sx: select.value }) } },
    axes.filter((one) => !one.isMetric).map((one) => element("option", { value: one.key }, clean(one.label))));
  select.value = key;
  const [width, height] = [640, 260];
  const values = rows.map((row) => search.counted(state.metric.name, row));
  const [low, high] = rangeOf(values, state.metric.direction);
  const y = scale(low, high, height - 26, 12);
  const x = scale(0, 1, 70, width - 20);
  const best = state.metric.best?.row;
  const marks = rows.slice(-MOST_DRAWN).map((row) => {
    const at = axis.at(search.columns.get(key, row));
    if (at === null) return null;
    const spread = axis.steps ? (((row * 7919) % 101) / 101 - 0.5) * 12 : 0;
    const cy = Math.max(8, Math.min(height - 22, y(search.counted(state.metric.name, row))));
    const isChosen = row === best || context.chosen.has(row);
    return drawing("circle", { class: `dot${isChosen ? " best" : ""}`, cx: x(at) + spread, cy, r: isChosen ? 4 : 2.4 });
  });
  const labels = (axis.steps || axis.marks).slice(0, 12).map((value) => drawing("text", { class: "tick", x: x(axis.at(value) ?? 0), y: height - 6, "text-anchor": "middle" }, formatValue(value, 3)));
  const chart = drawing("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${clean(state.metric.name)} across ${clean(axis.label)}` },
    axisLines(low, high, y, 64, width, 8), marks, labels);
  const asTable = () => table("Scatter", [axis.label, { text: state.metric.name, class: "number" }], rows.slice(-300).map((row) => [formatValue(search.columns.get(key, row)), formatValue(search.counted(state.metric.name, row))]));
  return element("section", null, element("h2", null, foreign(state.metric.name, 40), " across ", select),
    figure(`${clean(state.metric.name)} of ${count(rows.length, "run")} across ${clean(axis.label)}. Filled: the best trial and what you selected.`, chart, asTable));
}

function importanceSection(axes, metric, n) {
  const rows = axes.filter((axis) => !axis.isMetric && axis.symbol).map((axis) => {
    const bar = drawing("svg", { class: "bars", viewBox: "0 0 200 10", width: 200, height: 10, "aria-hidden": "true", focusable: "false" },
      drawing("rect", { class: axis.symbol === "η" ? "bar-rect plain" : axis.strength < 0 ? "bar-rect down" : "bar-rect", x: 0, y: 2, width: Math.abs(axis.strength) * 200, height: 6 }));
    const sign = axis.symbol === "ρ" ? (axis.strength < 0 ? "−" : "+") : "";
    return [foreign(axis.label, 30), bar, `${axis.symbol} ${sign}${Math.abs(axis.strength).toFixed(2)}`, String(axis.kinds)];
  });
  return element("section", null, element("h2", null, "What moved with ", foreign(metric.name, 40), element("span", { class: "said" }, count(n, "run"))),
    rows.length ? table("What moved together", ["Parameter", "", { text: "rank correlation", class: "number" }, { text: "values", class: "number" }], rows) : element("p", { class: "quiet" }, "Eight finished runs are needed."),
    element("p", { class: "quiet" }, "Rank correlation (η for choices, without sign). It says what moved together, not what causes what: later runs had everything better at once."));
}
