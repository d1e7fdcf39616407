// Curves: how runs got to their values. Drawn by uPlot, one chart a metric, one cursor for all.

import { changesBetween, meanText, runLink, table, toggle } from "./actions.js";
import { figure, rangeOf } from "./charts.js";
import { clean, colour, element, foreign, replaceChildren } from "./elements.js";
import { chartLines, membersOf, rowsWithLines } from "./lines.js";
import { count, formatNumber, formatValue } from "./numbers.js";

const MOST_LINES = 100;
const MOST_CHARTS = 8;
const WEIGHTS = ["0", "0.6", "0.9", "0.97"];
const DASHES = [[], [6, 4], [2, 3], [10, 4, 2, 4], [1, 5], [14, 5]];

export function curvesView(context) {
  const { search, state } = context;
  const rows = rowsWithLines(search, linesOf(context), state.has("band"));
  if (!rows.length) return element("p", { class: "empty" }, "No curve here. A metric that is logged more than once in a run gets one.");
  const names = metricsOf(context, rows);
  const bar = element("div", { class: "bar" }, choice(state, "x", "x", [["step", "step"], ["time", "seconds"]]),
    toggle(state, "ly", "Log y"), toggle(state, "band", "Repeats as one line"),
    choice(state, "sm", "smooth", WEIGHTS.map((weight) => [weight, weight === "0" ? "no" : weight])),
    element("span", { class: "said spring" }, whichText(context, rows)));
  const charts = element("div", { class: "charts" });
  const legend = element("div", { class: "legend" }, legendTable(context, rows));
  const view = element("div", { class: "curves" }, bar, element("div", { class: "curves-body" }, charts, legend));
  context.afterwards(() => drawAll(context, charts, legend, rows, names));
  return view;
}

function choice(state, name, label, options) {
  const select = element("select", { on: { change: () => state.set({ [name]: select.value }) } },
    options.map(([value, text]) => element("option", { value }, text)));
  select.value = state.get(name);
  return element("label", { class: "field" }, element("span", null, label), select);
}

// The runs to draw: those selected, else the best, its line of parents and what is running; else the
// newest with a curve of the metric, else the newest with any.
export function linesOf(context) {
  const { search, state } = context;
  const has = (row) => Boolean(search.payload.series[row]);
  const selected = state.selected.filter(has);
  if (selected.length) return selected.slice(0, MOST_LINES);
  if (curvesAsked(state).length) return context.matching().rows.filter(has).slice(-12).reverse();
  const name = state.metric.name;
  const best = state.metric.best?.row;
  const members = best === undefined || best === null ? [] : [best];
  const line = search.payload.line.map((step) => step.row);
  const running = [];
  for (let row = 0; row < search.n; row++) if (search.outcome(row) === "running") running.push(row);
  const found = [...new Set([...members, ...line, ...running])].filter(has);
  for (const enough of [2, 1]) {
    if (found.length >= enough) break;
    for (let row = search.n - 1; row >= 0 && found.length < 8; row--) if (has(row) && (enough < 2 || search.payload.series[row][name]) && !found.includes(row)) found.push(row);
  }
  return found.slice(0, 12);
}

function metricsOf(context, rows) {
  const { search, state } = context;
  const found = new Set(rows.flatMap((row) => Object.keys(search.payload.series[row])));
  const main = state.metric.name;
  const asked = curvesAsked(state).filter((name) => found.has(name));
  if (asked.length) return asked;
  return [...(found.has(main) ? [main] : []), ...[...found].filter((name) => name !== main)].slice(0, MOST_CHARTS);
}

// The metrics whose curves the open view names.
function curvesAsked(state) {
  return (state.named?.charts || []).filter((chart) => !chart.against && !chart.best).map((chart) => chart.metric);
}

function whichText(context, rows) {
  const isOfView = curvesAsked(context.state).length > 0 && !context.state.selected.length;
  if (isOfView) return `The newest runs of the view with a curve: ${count(rows.length, "run")}.`;
  if (context.state.selected.some((row) => rows.includes(row))) return `The ${count(rows.length, "selected run")}.`;
  return `The best, its parents, running or newest runs: ${rows.length}. Select runs in the grid to see others.`;
}

function style(n) {
  return { colour: colour(`series${(n % 4) + 1}`), dash: DASHES[Math.floor(n / 4) % DASHES.length] };
}

function legendTable(context, rows) {
  const { search, state } = context;
  const name = state.metric.name;
  const last = (row) => {
    const members = membersOf(search, row, name, state.has("band"));
    const group = members.length > 1 ? search.group(name, search.trialOf[row]) : null;
    return group ? [meanText(group), element("div", { class: "said" }, `mean of ${members.length} ± sd`)] : formatValue(search.columns.get(`metrics.${name}`, row));
  };
  return [table("Lines", [{ text: "", class: "number" }, "", "Run", { text: name || "value", class: "number" }], rows.map((row, n) => [
    String(n + 1), swatch(n), [runLink(context, row, 26), element("div", { class: "said" }, lineWords(search, row))], last(row)])), element("p", { class: "said" }, howDrawn(state))];
}

// How the lines were made, for the legend and the sentence of each chart.
function howDrawn(state) {
  const weight = smoothing(state);
  return [state.has("band") ? "Repeats that succeeded are one line, their mean, with a band of ± one standard deviation." : "",
    weight ? `Smoothed: exponential moving average of weight ${weight}, the values themselves pale behind it.` : ""].filter(Boolean).join(" ");
}

function smoothing(state) {
  return WEIGHTS.includes(state.get("sm")) ? Number(state.get("sm")) : 0;
}

function swatch(n) {
  const canvas = element("canvas", { class: "swatch", width: 56, height: 16, "aria-hidden": "true" });
  const { colour: ink, dash } = style(n);
  const pen = canvas.getContext("2d");
  pen.strokeStyle = ink;
  pen.lineWidth = 4;
  pen.setLineDash(dash.map((size) => size * 2));
  pen.beginPath();
  pen.moveTo(0, 8);
  pen.lineTo(56, 8);
  pen.stroke();
  return canvas;
}

function lineWords(search, row) {
  const parent = search.columns.get("parent", row);
  const changes = typeof parent === "number" ? changesBetween(search, parent, row).slice(0, 3) : [];
  const words = changes.map(([param, , after]) => `${clean(param)} ${formatValue(after, 3)}`).join(", ");
  return words || foreign(search.columns.get("reason", row) || "", 60);
}

// --- drawing ----------------------------------------------------------------------------------

function drawAll(context, place, legend, rows, names) {
  const sync = uPlot.sync("curves");
  const plots = [];
  for (const [n, name] of names.entries()) {
    const holder = element("div", { class: n === 0 ? "plot large" : "plot" });
    const linesOfNow = () => chartLines(context.search, rows, name, { byTime: context.state.get("x") === "time", isFolded: context.state.has("band"), weight: smoothing(context.state) });
    const lines = linesOfNow();
    const sentence = chartSentence(context, lines, name);
    const asTable = () => table(name, ["Run", ...["first", "last", "points", "repeats"].map((text) => ({ text, class: "number" }))],
      lines.map((line) => [runLink(context, line.row), ...[valuesOf(line)[0], line.end ?? valuesOf(line).at(-1), line.x.length, line.count].map((value) => formatValue(value))]));
    place.append(element("section", { class: n === 0 ? "chart-box large" : "chart-box" }, element("h2", null, foreign(name, 60), element("span", { class: "said" }, `by ${context.state.get("x") === "time" ? "seconds" : "step"}`)),
      figure(sentence, holder, asTable)));
    const plot = drawChart(context, holder, lines, name, n === 0, sync.key);
    if (plot) plots.push(Object.assign(plot, { linesOfNow }));
  }
  context.growCurves = () => {
    if (rowsWithLines(context.search, linesOf(context), context.state.has("band")).join() !== rows.join()) return false;
    if (!plots.every((plot) => plot.refill(plot.linesOfNow()))) return false;
    if (!legend.contains(document.activeElement)) replaceChildren(legend, legendTable(context, rows));
    return true;
  };
  const refit = () => plots.forEach((plot) => plot.setSize({ width: plot.root.parentElement.clientWidth, height: plot.height }));
  const watch = new ResizeObserver(refit);
  watch.observe(place);
  context.onLeave(() => {
    watch.disconnect();
    plots.forEach((plot) => plot.destroy());
    context.growCurves = null;
  });
}

// The values of a line before they are smoothed.
const valuesOf = (line) => line.raw || line.y;

function chartSentence(context, lines, name) {
  const { search } = context;
  const how = howDrawn(context.state);
  const { direction } = search.metric(name);
  const said = `${clean(name)} of ${count(lines.length, "line")}`;
  const ended = lines.filter((line) => !line.end);
  if (!direction || !ended.length) return `${said}. ${how}`;
  const last = (line) => valuesOf(line).at(-1);
  const best = ended.reduce((a, b) => (last(b) > last(a) === (direction === "maximize") ? b : a));
  return `${said}: ${clean(search.name(best.row))} ends ${direction === "maximize" ? "highest" : "lowest"}, at ${formatNumber(last(best))}. ${how}`;
}

function drawChart(context, holder, drawn, name, isLarge, key) {
  const { search, state } = context;
  if (!drawn.length) {
    holder.append(element("p", { class: "quiet" }, "No run has the time of its steps."));
    return null;
  }
  const isLog = state.has("ly") && drawn.every(({ y }) => y.every((value) => value > 0));
  const best = state.metric.best?.row;
  const bestTrial = best === undefined || best === null ? null : search.trialOf[best];
  const { tables, series, bands } = seriesOf(search, drawn, isLog, (line) => line.row === best || (line.count > 1 && search.trialOf[line.row] === bestTrial));
  const data = uPlot.join(tables);
  let shown = drawn;
  const [low, high] = rangeOf(drawn.flatMap(({ y }) => y), search.metric(name).direction, isLarge ? 0.03 : 0.02);
  const axis = { stroke: colour("ink2"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
  const plot = new uPlot({
    width: Math.max(200, holder.clientWidth || 600),
    height: isLarge ? 340 : 190,
    legend: { show: false },
    padding: [8, 18, 0, 0],
    cursor: { sync: { key }, drag: { x: true, y: false }, points: { size: 5 } },
    scales: { x: { time: false }, y: isLog ? { distr: 3 } : { range: (self, from, to) => (self.status ? [from, to] : [low, high]) } },
    axes: [{ ...axis }, { ...axis, size: 56, values: (self, values) => values.map((value) => (value === null ? "" : formatNumber(value, 3))) }],
    series: [{}, ...series],
    bands,
    hooks: { draw: [(self) => endMarks(self, shown, search)] },
  }, data, holder);
  plot.refill = (lines) => {
    if (isLog && lines.some(({ y }) => y.some((value) => value <= 0))) return false;
    const parts = seriesOf(search, lines, isLog, () => false);
    if (parts.series.length !== series.length) return false;
    shown = lines;
    refill(plot, parts.tables);
    return true;
  };
  return plot;
}

// The points of now; a range that the reader has zoomed to stays.
function refill(plot, tables) {
  const [x] = plot.data;
  const isWhole = plot.scales.x.min === x[0] && plot.scales.x.max === x[x.length - 1];
  plot.setData(uPlot.join(tables), isWhole);
}

// What uPlot draws: of each line the values themselves behind it, the line, and the edges of its band.
function seriesOf(search, drawn, isLog, isBest) {
  const series = [];
  const bands = [];
  const quiet = { width: 0, points: { show: false }, spanGaps: true };
  const above = (values) => (isLog ? values.map((value) => (value > 0 ? value : null)) : values);
  const tables = drawn.map((line) => {
    const { colour: ink, dash } = style(line.n);
    const columns = [line.x];
    if (line.raw) {
      columns.push(above(line.raw));
      series.push({ ...quiet, stroke: ink, width: 1, alpha: 0.22 });
    }
    columns.push(line.y);
    series.push({ label: clean(search.name(line.row)), stroke: ink, dash, width: isBest(line) ? 2.25 : 1.35, spanGaps: true, points: { show: false } });
    line.at = series.length;
    if (line.high) {
      columns.push(above(line.high), above(line.low));
      series.push({ ...quiet }, { ...quiet });
      bands.push({ series: [series.length - 1, series.length], fill: paler(ink) });
    }
    return columns;
  });
  return { tables, series, bands };
}

const paler = (ink) => `${ink.trim()}2e`;

// The number of each line at its end; a ring where a run did not finish.
function endMarks(plot, drawn, search) {
  const pen = plot.ctx;
  const ratio = devicePixelRatio;
  pen.save();
  pen.font = `${11 * ratio}px system-ui`;
  pen.textBaseline = "middle";
  const used = [];
  drawn.forEach(({ row, n, at: place }) => {
    const values = plot.data[place];
    let at = values.length - 1;
    while (at >= 0 && (values[at] === null || values[at] === undefined)) at--;
    if (at < 0) return;
    const x = plot.valToPos(plot.data[0][at], "x", true);
    let y = plot.valToPos(values[at], "y", true);
    if (!(x >= plot.bbox.left && x <= plot.bbox.left + plot.bbox.width + 1)) return;
    if (search.outcome(row) !== "succeeded") {
      pen.strokeStyle = style(n).colour;
      pen.lineWidth = 2 * ratio;
      pen.beginPath();
      pen.arc(x, y, 4 * ratio, 0, 7);
      pen.stroke();
    }
    while (used.some((other) => Math.abs(other - y) < 11 * ratio)) y += 11 * ratio;
    used.push(y);
    pen.fillStyle = colour("ink2");
    pen.fillText(String(n + 1), x + 5 * ratio, y);
  });
  pen.restore();
}

