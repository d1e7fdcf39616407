// Compare: two or more runs, causes beside effects, and the code of one pair.

import { arrow, copy, decisionMark, difference, meanText, runLink, table } from "./actions.js";
import { button, clean, element, foreign, heading } from "./elements.js";
import { verdictWords } from "./judge.js";
import { kindOf, shortName } from "./load.js";
import { count, formatSpan, formatValue } from "./numbers.js";

const MOST_COLUMNS = 5;
const MOST_RUNS = 200;
const MOST_PROPERTIES = 200;

export function compareView(context) {
  const rows = comparedRows(context);
  if (rows.length < 2) return element("p", { class: "empty" }, "Compare needs two runs: select them in the grid.");
  const { search } = context;
  const [first, ...others] = rows;
  const title = rows.length === 2 ? [foreign(search.name(first), 30), " → ", foreign(search.name(others[0]), 30)] : [`${others.length} against `, foreign(search.name(first), 30)];
  const causes = causesOf(context, rows);
  const effects = effectsOf(context, rows);
  const body = rows.length <= MOST_COLUMNS ? matrices(context, rows, causes, effects) : wide(context, rows, causes, effects);
  return element("div", { class: "compare" }, element("h2", { class: "title" }, title), rows.length <= MOST_COLUMNS ? sentences(context, rows, effects) : null, body, codeSection(context, rows));
}

// The selection, the baseline first, repeats of one trial together; else the first run and the best.
export function comparedRows(context) {
  const { search, state } = context;
  let rows = state.selected.slice(0, MOST_RUNS);
  if (rows.length === 1) rows = [state.baseline ?? state.metric.best?.row ?? 0, ...rows];
  if (!rows.length) rows = [state.metric.first?.row ?? 0, state.metric.best?.row ?? search.n - 1];
  rows = [...new Set(rows)].filter((row) => row !== null && row < search.n);
  const base = rows.includes(state.baseline) ? state.baseline : rows[0];
  const trials = [...new Set(rows.map((row) => search.trialOf[row]))];
  const ordered = trials.flatMap((trial) => rows.filter((row) => search.trialOf[row] === trial));
  return [base, ...ordered.filter((row) => row !== base)].filter((row) => row !== undefined);
}

// What the main metric and the guards say of each run against the first, as `git exp compare` does.
function sentences(context, rows, effects) {
  const main = effects.find(({ name }) => name === context.state.metric.name);
  if (!main) return null;
  return element("div", { class: "judged" }, rows.slice(1).map((row, n) => element("p", null, foreign(context.search.name(row), 30), ": ", foreign(main.name, 40), " ", clean(verdictWords(main.verdicts[n + 1])))));
}

function codeName(search, row) {
  return search.columns.get("digest", row) || search.columns.get("tree", row);
}

function causesOf(context, rows) {
  const { columns } = context.search;
  const keys = [...columns.ofKind("params"), "code", ...columns.ofKind("data"), ...columns.ofKind("env"), "command"];
  const valueOf = (key, row) => (key === "code" ? codeName(context.search, row) : columns.get(key, row));
  const found = [];
  let same = 0;
  for (const key of keys) {
    const values = rows.map((row) => valueOf(key, row));
    if (values.every((value) => value === null)) continue;
    if (values.every((value) => value === values[0])) same++;
    else found.push({ key, values });
  }
  const isRepeated = (key) => key === "command" && found.some((cause) => cause.key.startsWith("params."));
  return { found: found.filter(({ key }) => !isRepeated(key)), same };
}

function effectsOf(context, rows) {
  const { search, state } = context;
  const main = state.metric.name;
  const names = search.columns.ofKind("metrics").map((key) => key.slice(8)).filter((name) => rows.some((row) => search.columns.get(`metrics.${name}`, row) !== null));
  const ordered = [...names.filter((name) => name === main), ...names.filter((name) => name !== main)].slice(0, MOST_PROPERTIES);
  return ordered.map((name) => ({ name, direction: search.metric(name).direction,
    verdicts: rows.map((row) => (row === rows[0] ? null : name === main ? search.decide(name, row, rows[0]) : search.compare(name, row, rows[0], 1 / ordered.length))) }));
}

const label = (key) => (key === "code" || key === "command" ? key : shortName(key));

function cellText(key, value) {
  if (value === null || value === undefined) return "none";
  return key === "code" ? String(value).slice(0, 9) : foreign(formatValue(value), 60);
}

function matrices(context, rows, causes, effects) {
  const { search } = context;
  const heads = () => ["", ...rows.map((row) => ({ text: runLink(context, row, 22), class: "" }))];
  const left = causes.found.slice(0, MOST_PROPERTIES).map(({ key, values }) => [[foreign(label(key), 40), element("span", { class: "quiet" }, ` ${kindOf(key)}`)],
    ...values.map((value, n) => element("span", { class: n === 0 ? "mono" : value === values[0] ? "mono quiet" : "mono tinted" }, cellText(key, value)))]);
  const right = effects.map(({ name, direction, verdicts }) => [[foreign(name, 40), arrow(direction)],
    ...rows.map((row, n) => effectCell(context, name, row, verdicts[n], direction))]);
  right.push(["decision", ...rows.map((row) => decisionMark(search, row) || element("span", { class: "quiet" }, "none"))]);
  right.push(["took", ...rows.map((row) => formatSpan(search.columns.get("duration_s", row)))]);
  return element("div", { class: "two even" },
    element("section", null, heading("Causes", `${causes.found.length} differ, ${causes.same} are the same; marked: not as in the first`),
      causes.found.length ? table("Causes", heads(), left, { rowHeads: true }) : element("p", { class: "quiet" }, "None: it is the same trial.")),
    element("section", null, heading("Effects", "means of the trial; below, the difference to the first"), table("Effects", heads(), right, { rowHeads: true })));
}

function effectCell(context, name, row, verdict, direction) {
  const { search } = context;
  const group = search.group(name, search.trialOf[row]);
  const shown = group?.sample.length ? meanText(group) : formatValue(search.columns.get(`metrics.${name}`, row));
  return [element("div", { class: "figure-value" }, shown || element("span", { class: "quiet" }, "none"), group?.runs > 1 ? element("span", { class: "quiet" }, ` n ${group.runs}`) : null),
    verdict ? element("div", null, difference(verdict, direction)) : null];
}

function wide(context, rows, causes, effects) {
  const shownCauses = causes.found.slice(0, 30);
  const shownEffects = effects.slice(0, 12);
  const heads = ["Run", ...shownCauses.map(({ key }) => foreign(label(key), 24)), ...shownEffects.map(({ name, direction }) => ({ text: [foreign(name, 24), arrow(direction)], class: "number" }))];
  const body = rows.map((row, n) => [runLink(context, row, 24),
    ...shownCauses.map(({ key, values }) => element("span", { class: n && values[n] !== values[0] ? "mono tinted" : "mono" }, cellText(key, values[n]))),
    ...shownEffects.map(({ name, direction, verdicts }) => effectCell(context, name, row, verdicts[n], direction))]);
  return element("section", null, heading("Causes and effects", `${count(rows.length, "run")}; ${causes.same} properties are the same`), table("Causes and effects", heads, body, { rowHeads: true }));
}

// --- code -------------------------------------------------------------------------------------

function codeSection(context, rows) {
  const { search, state } = context;
  const [first, ...others] = rows;
  const chosen = state.rowOf(state.get("pair"));
  const other = others.includes(chosen) ? chosen : others.find((row) => codeName(search, row) !== codeName(search, first)) ?? others[0];
  const select = element("select", { "aria-label": "the other run", on: { change: () => state.set({ pair: search.shortIds[Number(select.value)] }) } },
    others.map((row) => element("option", { value: row }, clean(search.name(row)))));
  select.value = String(other);
  return element("section", null, element("h2", null, "Code ", element("span", { class: "said" }, foreign(search.name(first), 24), " → "), select), codeDiff(context, first, other));
}

export function codeDiff(context, from, to) {
  const { search } = context;
  const { same, text } = search.patch(from, to);
  if (same || codeName(search, from) === codeName(search, to)) return element("p", { class: "quiet" }, "The code that counts is the same.");
  const command = `git exp diff ${search.shortIds[from]} ${search.shortIds[to]} --code`;
  if (text === undefined) {
    return element("div", null, element("p", { class: "quiet" }, "This difference is not in the file. In the repository:"),
      element("div", { class: "command" }, element("code", { tabindex: "0" }, command), button("Copy", () => copy(command, "the command"))));
  }
  if (!text.trim()) return element("p", { class: "quiet" }, "Only files that do not count as code differ.");
  return element("div", { class: "patches" }, text.split(/^(?=diff --git )/m).filter(Boolean).map(fileDiff));
}

// One file of a diff, as a table of lines with their numbers.
function fileDiff(text) {
  const lines = text.split("\n");
  const named = lines.find((line) => line.startsWith("+++ b/")) || lines.find((line) => line.startsWith("--- a/")) || lines[0];
  const name = named.replace(/^(?:\+\+\+ b\/|--- a\/|diff --git )/, "");
  const start = lines.findIndex((line) => line.startsWith("@@"));
  if (start < 0) return element("div", { class: "patch" }, element("h3", { class: "mono" }, clean(name)), element("p", { class: "quiet" }, "not text, or only its mode differs"));
  let [before, after] = [0, 0];
  const rows = [];
  for (const line of lines.slice(start)) {
    const hunk = /^@@ -(\d+)(?:,\d+)? \+(\d+)/.exec(line);
    if (hunk) [before, after] = [Number(hunk[1]), Number(hunk[2])];
    if (hunk) rows.push(diffLine("hunk", "", "", "", line));
    else if (line.startsWith("+")) rows.push(diffLine("added", "", after++, "+", line.slice(1)));
    else if (line.startsWith("-")) rows.push(diffLine("removed", before++, "", "−", line.slice(1)));
    else if (line.startsWith(" ")) rows.push(diffLine("", before++, after++, "", line.slice(1)));
    else if (line) rows.push(diffLine("hunk", "", "", "", line));
  }
  return element("div", { class: "patch" }, element("h3", { class: "mono" }, clean(name)),
    element("div", { class: "wide", tabindex: "0", role: "region", "aria-label": `code of ${clean(name)}` }, element("table", { class: "diff" }, element("tbody", null, rows))));
}

function diffLine(kind, before, after, sign, text) {
  return element("tr", { class: kind || null }, element("td", { class: "line-number" }, String(before)), element("td", { class: "line-number" }, String(after)),
    element("td", { class: "sign" }, sign), element("td", { class: "code" }, clean(text, true)));
}
