// Run page: everything about one run.

import { arrow, authorName, changesBetween, commandLine, copy, decisionMark, difference, guardLines, isSeedName, mark, meanText, openDialog, quoted, runLink, table } from "./actions.js";
import { codeDiff } from "./compare.js";
import { button, clean, drawing, element, foreign, heading, hooks } from "./elements.js";
import { rangeOf, scale } from "./charts.js";
import { count, formatNumber, formatSpan, formatTime, formatValue } from "./numbers.js";

const MOST_KIN = 8;
const SHOWN_METRICS = 100;
const SHOWN_PARAMS = 200;

export function runView(context, row) {
  const { search, state } = context;
  const columns = search.columns;
  const reason = columns.get("reason", row);
  return element("article", { class: "run-page" },
    button("← Back", () => state.set({ run: "" }), { class: "link" }),
    element("div", { class: "run-top" }, element("h2", { class: "run-name" }, foreign(search.name(row), 80), " ", element("span", { class: "mono said" }, columns.ids[row])),
      mark(search.outcome(row)), decisionMark(search, row), element("span", { class: "spring" }),
      button("Decide", () => decideDialog(context, row)), hooks.buttons?.(context, row),
      element("button", { type: "button", class: "button", "aria-pressed": String(state.baseline === row), on: { click: () => state.pin(row) } }, "Pin as baseline")),
    hooks.notice?.(context, row) ?? notCounted(search, row),
    reason ? element("p", { class: "lead" }, foreign(reason)) : element("p", { class: "quiet" }, "No reason given."),
    element("div", { class: "run-body" },
      element("div", null, results(context, row), smallCurves(context, row), parameters(context, row), codePart(context, row), tail(search, row)),
      element("aside", { "aria-label": "Story" }, story(context, row), kin(context, row), goOn(context, row), facts(context, row))));
}

function notCounted(search, row) {
  const outcome = search.outcome(row);
  if (outcome === "succeeded") return null;
  const words = outcome === "running" ? "This run has not ended; its numbers are not counted." : `Outcome ${outcome}: its numbers are not counted.`;
  return element("p", { class: "notice" }, words);
}

function results(context, row) {
  const { search, state } = context;
  const names = search.columns.ofKind("metrics").map((key) => key.slice(8)).filter((name) => search.columns.get(`metrics.${name}`, row) !== null);
  if (!names.length) return element("section", null, heading("Results"), element("p", { class: "quiet" }, "It measured nothing."));
  const main = state.metric.name;
  const ordered = [...names.filter((name) => name === main), ...names.filter((name) => name !== main)];
  const parent = search.columns.get("parent", row);
  const best = state.metric.best?.row ?? null;
  const trial = search.trials.get(search.trialOf[row]);
  const against = (name, other) => (typeof other === "number" && search.trialOf[other] !== search.trialOf[row]
    ? difference(name === main ? search.decide(name, row, other) : search.compare(name, row, other, 1 / names.length), search.metric(name).direction) : "");
  const rows = ordered.slice(0, SHOWN_METRICS).map((name) => {
    const group = search.group(name, search.trialOf[row]);
    return [[name === main ? element("strong", null, foreign(name, 50)) : foreign(name, 50), arrow(search.metric(name).direction)],
      formatValue(search.columns.get(`metrics.${name}`, row)), group?.runs > 1 ? meanText(group) : "", against(name, parent), against(name, best)];
  });
  const number = (text) => ({ text, class: "number" });
  return element("section", null, heading("Results", trial.length > 1 ? `one of ${trial.length} runs of this trial` : null),
    guardLines(search.guardsOf(main, row)), table("Results", ["Metric", number("value"), number("trial"), number("against its parent"), number("against the best")], rows),
    names.length > SHOWN_METRICS ? element("p", { class: "quiet" }, `and ${formatNumber(names.length - SHOWN_METRICS)} more`) : null);
}

function smallCurves(context, row) {
  const { search, state } = context;
  const curves = search.payload.series[row];
  if (!curves) return null;
  const names = Object.keys(curves);
  const main = state.metric.name;
  const ordered = [...names.filter((name) => name === main), ...names.filter((name) => name !== main)].slice(0, 6);
  return element("section", null, heading("Curves"), element("div", { class: "small-curves" }, ordered.map((name) => smallCurve(name, curves[name]))));
}

function smallCurve(name, curve) {
  const [width, height] = [300, 120];
  const [low, high] = rangeOf(curve.y, null, 0);
  const x = scale(curve.x[0], curve.x[curve.x.length - 1], 2, width - 2);
  const y = scale(low, high, height - 2, 2);
  const points = curve.y.map((value, n) => `${x(curve.x[n]).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const last = curve.y[curve.y.length - 1];
  return element("figure", { class: "figure" }, element("h3", null, foreign(name, 40)),
    drawing("svg", { class: "chart small", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${clean(name)} over steps` }, drawing("polyline", { class: "best-line", points })),
    element("figcaption", null, `from ${formatNumber(curve.y[0])} to ${formatNumber(last)} at step ${formatNumber(curve.x[curve.x.length - 1])}${curve.end ? `, then ${curve.end}` : ""}`));
}

function parameters(context, row) {
  const { search } = context;
  const names = search.columns.ofKind("params").filter((key) => search.columns.get(key, row) !== null);
  if (!names.length) return null;
  const parent = search.columns.get("parent", row);
  const changed = typeof parent === "number" ? new Set(changesBetween(search, parent, row).map(([name]) => `params.${name}`)) : new Set();
  const items = names.slice(0, SHOWN_PARAMS).map((key) => element("div", { class: changed.has(key) ? "is-changed" : null },
    element("dt", null, foreign(key.slice(7), 50), isSeedName(key) ? " (seed)" : ""), element("dd", { class: "mono" }, foreign(formatValue(search.columns.get(key, row), 12), 120))));
  return element("section", null, heading("Parameters", changed.size ? "bold: not as in its parent" : null), element("dl", { class: "params" }, items));
}

function codePart(context, row) {
  const { search } = context;
  const parent = search.columns.get("parent", row);
  const commit = search.columns.get("commit", row);
  const said = commit ? [`commit ${commit.slice(0, 12)}`, search.columns.get("dirty", row) ? " with uncommitted edits, kept as a snapshot" : ""].join("") : null;
  return element("section", null, heading("Code", typeof parent === "number" ? "against its parent" : null),
    typeof parent === "number" ? codeDiff(context, parent, row) : null, said ? element("p", { class: "quiet mono" }, said) : null);
}

function tail(search, row) {
  const text = search.payload.tails[row];
  return text ? element("section", null, heading("Last lines it printed"), element("pre", { class: "output", tabindex: "0" }, clean(text, true))) : null;
}

// --- beside -----------------------------------------------------------------------------------

function story(context, row) {
  const { search } = context;
  const { columns } = search;
  const started = columns.startedMs(row);
  const parent = columns.get("parent", row);
  const took = columns.get("duration_s", row);
  const events = [storyItem(started, ["Started by ", foreign(authorName(columns.get("author", row)), 50), typeof parent === "number" ? [", building on ", runLink(context, parent)] : null])];
  if (took !== null && search.outcome(row) !== "running") events.push(storyItem(started + took * 1000, [`${search.outcome(row)} after ${formatSpan(took)}`]));
  for (const said of search.payload.story[row] || []) events.push(saidItem(context, said));
  return element("section", null, heading("Story"), element("ol", { class: "plain story" }, events), (search.payload.warnings[row] || []).map((text) => element("p", { class: "notice" }, foreign(text))));
}

function storyItem(ms, inside, text) {
  return element("li", null, element("span", { class: "said" }, formatTime(ms)), element("div", null, inside), text ? element("div", { class: "quiet" }, foreign(text)) : null);
}

function saidItem(context, said) {
  const by = [" by ", foreign(authorName(said.author), 50)];
  const at = Date.parse(said.time);
  if (said.kind === "decision") return storyItem(at, ["Decided ", mark(said.decision), by, said.hint ? element("div", { class: "said" }, "hint: ", foreign(said.hint)) : null], said.text);
  if (said.kind === "note") return storyItem(at, ["Note", by], said.text);
  if (said.kind === "tag" || said.kind === "untag") return storyItem(at, [said.kind === "tag" ? "Tagged " : "Tag taken off: ", foreign((said.tags || []).join(", "), 80), by]);
  if (said.kind === "reproduction") {
    const other = context.search.rowOfId.get(said.by);
    return storyItem(at, [`Made again: ${clean(said.verdict || "")}`, by, other === undefined ? null : [" as ", runLink(context, other)]], said.text);
  }
  return storyItem(at, [clean(said.kind), by], said.text);
}

function kin(context, row) {
  const { search } = context;
  const all = (name) => search.columns.values(name).flatMap((other, n) => (other === row ? [n] : []));
  const repeats = search.trials.get(search.trialOf[row]).filter((other) => other !== row);
  const links = (rows) => [rows.slice(0, MOST_KIN).flatMap((other, n) => [n ? ", " : "", runLink(context, other, 24)]), rows.length > MOST_KIN ? ` and ${rows.length - MOST_KIN} more` : ""];
  const parent = search.columns.get("parent", row);
  const tags = search.columns.get("tags", row) || [];
  const lines = [["Parent", typeof parent === "number" ? [runLink(context, parent)] : parent ? [clean(parent).slice(0, 7)] : null], ["Repeats", repeats.length ? links(repeats) : null],
    ["Built on it", all("parent").length ? links(all("parent")) : null], ["Made again", all("reproduces").length ? links(all("reproduces")) : null], ["Tags", tags.length ? [foreign(tags.join(", "), 120)] : null]];
  return element("section", null, heading("Kin"), element("dl", { class: "facts" }, lines.filter(([, inside]) => inside).map(([word, inside]) => element("div", null, element("dt", null, word), element("dd", null, inside)))));
}

function goOn(context, row) {
  const id = context.search.shortIds[row];
  return element("section", null, heading("Go on from here"),
    [["Run it again and judge", `git exp reproduce ${id}`], ["Put its code into the work tree", `git exp apply ${id}`], ["The whole record", `git exp show ${id} --json`]].map(([word, text]) => [element("p", { class: "said" }, word), commandLine(text)]));
}

function facts(context, row) {
  const { columns } = context.search;
  const names = ["command", "branch", "origin", ...columns.ofKind("env"), ...columns.ofKind("data")].filter((name) => columns.get(name, row) !== null).slice(0, 40);
  if (!names.length) return null;
  return element("section", null, element("details", null, element("summary", null, `Environment and command: ${count(names.length, "fact")}`),
    element("dl", { class: "facts" }, names.map((name) => element("div", null, element("dt", null, foreign(name.replace(/^env\./, ""), 60)), element("dd", { class: "mono" }, foreign(formatValue(columns.get(name, row), 12), 300)))))));
}

// --- deciding ---------------------------------------------------------------------------------

// A frozen page decides nothing: it composes the command for the repository.
export function decideDialog(context, row) {
  if (hooks.decide) return hooks.decide(context, row);
  const id = context.search.shortIds[row];
  const select = element("select", { "aria-label": "decision" }, ["improve", "keep", "discard", "stop"].map((word) => element("option", { value: word }, word)));
  const why = element("input", { type: "text", "aria-label": "because", placeholder: "because …" });
  const shown = element("code", { tabindex: "0" });
  const text = () => `git exp decide ${id} ${select.value}${why.value.trim() ? ` -m ${quoted(why.value.trim())}` : ""}`;
  const draw = () => (shown.textContent = text());
  select.addEventListener("change", draw);
  why.addEventListener("input", draw);
  draw();
  openDialog("Decide", element("p", null, "This page is frozen. In the repository:"), element("p", { class: "row" }, select, why),
    element("div", { class: "command" }, shown, button("Copy command", () => copy(text(), "the command"))));
}
