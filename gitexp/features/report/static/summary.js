// Summary: where the search stands, whether one can believe it, what was given up, what is open.

import { arrow, changesBetween, changeText, difference, directionWords, guardLines, mark, meanText, runLink, table, authorName } from "./actions.js";
import { axisLines, dotPlot, figure, rangeOf, scale } from "./charts.js";
import { clean, drawing, element, foreign, heading, hooks } from "./elements.js";
import { withGuards } from "./judge.js";
import { count, formatDay, formatMean, formatNumber, formatSd, formatValue, ticks } from "./numbers.js";

export function summaryView(context) {
  const { search, state } = context;
  const metric = state.metric;
  const isMain = metric.name === search.metrics[0]?.name;
  const brief = search.payload.brief || {};
  const sections = [
    element("section", { class: "hero", "aria-label": "Best so far" }, hero(context, metric)),
    element("section", { class: "overtime", "aria-label": "Best over time" }, overTime(context, metric)),
    isMain ? lineSection(context, metric) : null,
    element("div", { class: "beside" }, running(context, brief), hints(context, brief)),
    causes(context, brief, "rejected", "Given up, and why"),
    causes(context, brief, "failed", "Failed, and not decided"),
    isMain ? element("div", { class: "beside" }, untried(brief), waiting(context, brief)) : null,
  ];
  return element("div", { class: "summary" }, sections.filter(Boolean));
}

// --- the best ---------------------------------------------------------------------------------

function hero(context, metric) {
  const { search } = context;
  const best = metric.best;
  const tally = tallyText(search);
  if (!metric.name) return [element("h2", null, "Nothing was measured yet"), element("p", null, tally),
    element("p", { class: "quiet" }, "Let the command print ", element("code", null, "METRIC name=value"), ".")];
  if (!best) {
    const why = metric.direction ? "No run that counts measured it." : "Which way it is better is not known: set it in gitexp.toml.";
    return [element("h2", { class: "eyebrow" }, clean(metric.name)), element("p", null, why), element("p", { class: "quiet" }, tally)];
  }
  const row = best.row;
  const isMean = best.n > 1;
  const guards = row === null ? [] : search.guardsOf(metric.name, row);
  const columns = search.columns;
  return [
    element("h2", { class: "eyebrow" }, "Best so far: ", foreign(metric.name, 40), `, ${directionWords(metric.direction)}${metric.guessed ? " (a guess)" : ""}`),
    element("p", { class: "big" }, element("span", { class: "number" }, isMean ? formatMean(best.mean, best.sd) : formatNumber(best.mean)),
      best.sd ? element("span", { class: "sd" }, ` ± ${formatSd(best.sd)}`) : null),
    element("p", { class: "who" }, runLink(context, row), ` · ${isMean ? `mean of ${best.n} runs` : "one run"} · `,
      foreign(authorName(columns.get("author", row)), 40), `, ${formatDay(search.columns.startedMs(row), search.year)}`),
    element("p", { class: "quiet" }, tally),
    element("dl", { class: "judged" },
      judgedRow(context, "Against the first run", metric.first, metric, guards),
      judgedRow(context, "Against the second best", metric.second?.row === metric.first?.row ? null : metric.second, metric, guards),
      noiseRow(metric)),
    guardLines(guards),
  ];
}

function judgedRow(context, words, other, metric, guards) {
  if (!other) return null;
  return element("div", null,
    element("dt", null, words, other.row === null ? "" : ", ", other.row === null ? null : runLink(context, other.row, 28)),
    element("dd", null, difference(withGuards(other.verdict, guards), metric.direction)),
    element("dd", { class: "said" }, clean(other.verdict.words)));
}

function noiseRow(metric) {
  const noise = metric.noise || { basis: "unknown" };
  const words = {
    unknown: "no trial was repeated in a way that shows it: --repeat 3 tells",
    declared: "as the project declares",
    measured: `between repeats of ${count(noise.groups, "trial")}`,
    deterministic: "repeats agree",
  }[noise.basis];
  const shown = noise.sd ? `± ${formatSd(noise.sd)}` : noise.basis === "deterministic" ? "none" : "unknown";
  const rivals = metric.contenders ? `; ${count(metric.contenders, "other trial")} may be the best as well` : "";
  return element("div", null, element("dt", null, "Noise"), element("dd", null, shown), element("dd", { class: "said" }, words + rivals));
}

function tallyText(search) {
  if (hooks.tally?.(search)) return hooks.tally(search);
  const tally = (name) => {
    const found = new Map();
    for (const value of search.columns.values(name)) found.set(value, (found.get(value) || 0) + 1);
    return found;
  };
  const outcomes = [...tally("outcome")].map(([word, n]) => `${formatNumber(n)} ${word}`);
  const decisions = tally("decision");
  const undecided = decisions.get(null) || 0;
  decisions.delete(null);
  const decided = [...decisions].map(([word, n]) => `${formatNumber(n)} ${word}`);
  return `${count(search.n, "run")}, ${count(search.trials.size, "trial")}: ${outcomes.join(", ")}. ` +
    (decided.length ? `Decided: ${decided.join(", ")}; ${formatNumber(undecided)} without a decision.` : "None is decided.");
}

// --- best over time ---------------------------------------------------------------------------

const HEIGHT = 300;

function overTime(context, metric) {
  const { search } = context;
  const points = [];
  for (let row = 0; row < search.n; row++) {
    const value = search.counted(metric.name, row);
    if (value !== null) points.push({ row, value, at: search.columns.startedMs(row) });
  }
  if (points.length < 2) return element("p", { class: "quiet" }, "A chart needs two runs that measured something.");
  const WIDTH = innerWidth < 760 ? 420 : 860;
  const [low, high] = rangeOf(points.map((p) => p.value), metric.direction);
  const times = points.map((p) => p.at);
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const x = scale(first, last, 8, WIDTH - 74);
  const y = scale(low, high, HEIGHT - 28, 14);
  const clamp = (value) => Math.max(12, Math.min(HEIGHT - 26, y(value)));
  const outside = points.filter((p) => p.value < low || p.value > high).length;
  const steps = (metric.history || []).map(([row, value], n, all) => ({ row, value, at: search.columns.startedMs(row),
    isNew: n === 0 || search.trialOf[row] !== search.trialOf[all[n - 1][0]] }));
  const chart = drawing("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${metric.name} of ${points.length} runs over time` },
    axisLines(low, high, y, 0, WIDTH - 70, WIDTH - 62),
    timeTicks(first, last, x, search.year),
    points.map((p) => pointMark(search, p, x(p.at), clamp(p.value))),
    stepLine(steps, x, y, WIDTH - 70),
    stepLabels(search, steps, x, y, WIDTH < 500 ? 3 : 7));
  const beaten = Math.max(0, steps.filter((step) => step.isNew).length - 1);
  const highest = metric.direction === "minimize" ? "lowest" : "highest";
  const sentence = `${clean(metric.name)} of ${count(points.length, "run")} (dots; crosses are discarded)` +
    (steps.length ? ` and the ${highest} mean so far (line), ${beaten ? `improved ${beaten === 1 ? "once" : count(beaten, "time")}` : "never improved"}` : "") +
    (outside ? `; ${count(outside, "run")} outside the scale ${outside === 1 ? "is" : "are"} drawn at its edge.` : ".");
  const asTable = () => table("Best so far", ["When", "Run", { text: metric.name, class: "number" }],
    steps.filter((step) => step.isNew).map((step) => [formatDay(step.at, search.year), runLink(context, step.row), formatNumber(step.value)]));
  return figure(sentence, chart, asTable);
}

function pointMark(search, point, x, y) {
  if (search.columns.get("decision", point.row) !== "discard") return drawing("circle", { class: "dot", cx: x, cy: y, r: 2.2 });
  return drawing("path", { class: "cross", d: `M${x - 3} ${y - 3}l6 6m0 -6l-6 6` });
}

function timeTicks(first, last, x, year) {
  const days = (last - first) / 864e5;
  const found = ticks(0, days || 1, 5).map((day) => first + day * 864e5);
  return found.map((at) => drawing("text", { class: "tick", x: x(at), y: HEIGHT - 8, "text-anchor": at === first ? "start" : "middle" },
    days < 2 ? new Date(at).toISOString().slice(11, days < 0.01 ? 19 : 16) : formatDay(at, year)));
}

function stepLine(steps, x, y, right) {
  if (!steps.length) return null;
  let path = `M${x(steps[0].at)} ${y(steps[0].value)}`;
  for (const step of steps.slice(1)) path += `H${x(step.at)}V${y(step.value)}`;
  return [drawing("path", { class: "best-line", d: `${path}H${right}` }),
    steps.length < 200 ? steps.filter((step) => step.isNew).map((step) => drawing("circle", { class: "ring", cx: x(step.at), cy: y(step.value), r: 3 })) : null];
}

// The largest jumps by what was changed; labels never cover each other.
function stepLabels(search, steps, x, y, most) {
  const jumps = steps.slice(1).map((step, n) => ({ ...step, from: steps[n].row, jump: Math.abs(step.value - steps[n].value) })).filter((step) => step.isNew);
  const placed = [];
  const labels = [];
  for (const jump of jumps.sort((a, b) => b.jump - a.jump)) {
    if (labels.length >= most) break;
    const text = stepWords(search, jump);
    const box = { right: x(jump.at) - 6, left: x(jump.at) - 6 - text.length * 5.6, y: y(jump.value) - 6 };
    if (box.left < 0 || placed.some((other) => box.left < other.right && other.left < box.right && Math.abs(box.y - other.y) < 13)) continue;
    placed.push(box);
    labels.push(drawing("text", { class: "label", x: box.right, y: box.y, "text-anchor": "end" }, text));
  }
  return labels;
}

function stepWords(search, jump) {
  const parent = search.columns.get("parent", jump.row);
  const from = typeof parent === "number" ? parent : jump.from;
  const changes = changesBetween(search, from, jump.row).slice(0, 2);
  const words = changes.map(([name, , after]) => `${clean(name)} ${after === null ? "none" : formatValue(after, 3)}`).join(", ");
  const text = words || clean(search.columns.get("reason", jump.row) || "code");
  return text.length > 30 ? `${text.slice(0, 29)}…` : text;
}

// --- how it got here --------------------------------------------------------------------------

function lineSection(context, metric) {
  const { search, state } = context;
  const line = search.payload.line;
  if (line.length < 2) return null;
  const range = rangeOf(line.map((step) => step.mean).filter((v) => v !== null && v !== undefined), metric.direction, 0);
  const rows = line.map((step) => [
    formatDay(search.columns.startedMs(step.row), search.year),
    [runLink(context, step.row, 24), " ", foreign(search.columns.get("reason", step.row) || "", 90)],
    stepChanges(search, step),
    meanText(step),
    step.verdict ? difference(withGuards(step.verdict, search.guardsOf(metric.name, step.row)), metric.direction) : "",
    step.mean === undefined ? "" : dotPlot([], step.mean, range, 110),
  ]);
  const heads = ["When", "Because", "Changed", { text: metric.name + arrow(metric.direction), class: "number" }, { text: "Change", class: "number" }, ""];
  return element("section", { class: "line" },
    heading("How it got here", `${count(line.length, "step")} from the first trial to the best, newest first`),
    table("How it got here", heads, rows),
    element("button", { type: "button", class: "link", on: { click: () => state.set({ v: "ideas", run: "" }) } }, "All ideas, also the dead ends"));
}

export function stepChanges(search, step) {
  if (step.above === undefined) return element("span", { class: "quiet" }, "the first");
  const changes = changesBetween(search, step.above, step.row);
  const shown = changes.slice(0, 4).map(([name, before, after]) => changeText(name, before, after));
  if (changes.length > 4) shown.push(element("span", { class: "quiet" }, `and ${changes.length - 4} more`));
  if (step.code) shown.push(element("span", { class: "changed" }, "code"));
  return shown.length ? shown : element("span", { class: "quiet" }, "the same parameters and code");
}

// --- what is open -----------------------------------------------------------------------------

function running(context, brief) {
  if (hooks.running) return hooks.running(context);
  const { search } = context;
  const attempts = brief.running || [];
  const items = attempts.slice(0, 12).map((attempt) => element("li", null, mark("running"), " ",
    attempt.row === undefined ? element("strong", null, clean(attempt.name)) : runLink(context, attempt.row),
    element("div", { class: "said" }, clean(attempt.reason || ""), attempt.started ? ` · started ${formatDay(Date.parse(attempt.started), search.year)}` : "")));
  return element("section", null, heading("Running", attempts.length ? String(attempts.length) : null),
    items.length ? element("ul", { class: "plain" }, items) : element("p", { class: "quiet" }, "Nothing was running when this was made."));
}

function hints(context, brief) {
  const found = brief.hints || [];
  const items = found.slice(0, 12).map((hint) => element("li", null, foreign(hint.hint, 200),
    element("div", { class: "said" }, "from ", hint.row === undefined ? clean(hint.name) : runLink(context, hint.row), ` · ${count(hint.since, "run")} since`)));
  return element("section", null, heading("Open hints", "said with a decision, not taken up yet"),
    items.length ? element("ul", { class: "plain" }, items) : element("p", { class: "quiet" }, "None."));
}

function causes(context, brief, name, title) {
  const found = brief[name] || [];
  if (!found.length) return null;
  const more = brief.left_out?.[name] || 0;
  const shown = found.slice(0, 30).map((cause) => [
    mark(cause.kind),
    [foreign(cause.cause, 300), cause.output ? element("div", { class: "said mono" }, foreign(cause.output, 160)) : null],
    Object.entries(cause.params || {}).slice(0, 4).map(([param, values]) =>
      element("span", { class: "changed" }, foreign(param, 30), " ", element("strong", null, values.map((v) => formatValue(v, 3)).join(", ")))),
    cause.trials.map((trial) => (trial.row === undefined ? null : [runLink(context, trial.row, 24), " "])),
    String(cause.count),
  ]);
  const rest = found.length - shown.length + more;
  return element("section", { class: "causes" }, heading(title, "each reason once"),
    table(title, ["", "Because", "With", "Runs", { text: "Trials", class: "number" }], shown),
    rest ? element("p", { class: "quiet" }, `and ${rest} more`) : null);
}

function untried(brief) {
  const found = brief.untried || [];
  if (!found.length) return null;
  return element("section", null, heading("Not tried next to the best", "arithmetic, not advice"),
    element("ul", { class: "plain" }, found.slice(0, 8).map((one) => element("li", null, element("code", null, foreign(one.param, 40), ` = ${formatValue(one.value)}`),
      element("div", { class: "said" }, clean(one.why))))));
}

function waiting(context, brief) {
  const found = brief.undecided || [];
  if (!found.length) return null;
  return element("section", null, heading("Waiting for a decision", `${count(found.length + (brief.left_out?.undecided || 0), "trial")}${brief.considered < brief.total ? ` of ${count(brief.considered, "run")} summed up` : ""}${context.search.metrics[0]?.contenders ? ", the possible best first" : ", the newest first"}`),
    element("ul", { class: "plain" }, found.slice(0, 8).map((one) => element("li", null,
      one.row === undefined ? clean(one.name) : runLink(context, one.row), one.value === undefined ? "" : ` ${formatValue(one.value)}`,
      element("div", { class: "said" }, foreign(one.reason || "", 120))))));
}
