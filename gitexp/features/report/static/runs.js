// Runs: the grid of all runs, repeats folded, sorted, filtered, copied.

import { authorName, copy, decisionMark, difference, isSeedName, mark, meanText, openDialog, toggle } from "./actions.js";
import { rangeOf, sparkline } from "./charts.js";
import { button, clean, element, foreign, hooks, replaceChildren } from "./elements.js";
import { Grid } from "./grid.js";
import { isoText, kindOf, shortName } from "./load.js";
import { count, formatDay, formatNumber, formatSpan, formatValue } from "./numbers.js";

const MOST_METRICS = 6;
const MOST_PARAMS = 12;
const MOST_CHOICES = 300;
const MOST_COPIED = 20000;

export function runsView(context) {
  const holder = element("div", { class: "runs" });
  const bar = element("div", { class: "bar" });
  const place = element("div", { class: "grid-place" });
  holder.append(bar, place);
  runsBar(context, bar);
  showGrid(context, place, context.matching().rows);
  return holder;
}

function runsBar(context, bar) {
  const { state } = context;
  replaceChildren(bar, toggle(state, "fold", "Fold repeats"), toggle(state, "diff", "Only what differs"), chartLinks(context), element("span", { class: "spring" }),
    button("Columns", () => chooseColumns(context)), button("Copy", () => copyDialog(context)));
}

// The charts that the open view names.
function chartLinks(context) {
  const { state } = context;
  const charts = state.named?.charts || [];
  const go = (chart) => {
    const m = chart.metric === context.search.metrics[0]?.name ? "" : chart.metric;
    if (chart.against) state.set({ v: "space", m, sx: chart.against });
    else state.set({ v: chart.best ? "summary" : "curves", m });
  };
  const words = (chart) => `${chart.best ? "best " : ""}${clean(chart.metric)}${chart.against ? ` against ${clean(shortName(chart.against))}` : ""}`;
  return charts.length ? [element("span", { class: "said" }, "Charts:"), charts.map((chart) => button(words(chart), () => go(chart), { class: "link" }))] : null;
}

// The grid over some rows; used by Space as well.
export function showGrid(context, place, rows) {
  const { search } = context;
  if (!search.n) return place.append(element("p", { class: "empty" }, "No runs yet. The first command you put behind git exp run appears here."));
  if (!rows.length) return place.append(element("p", { class: "empty" }, "No run fits this filter. Esc in the filter box clears it."));
  const columns = columnsOf(context, rows);
  const items = sortItems(context, itemsOf(context, rows), columns);
  const given = {
    items, columns, label: "Runs", sort: sortOf(context),
    onSort: (key) => changeSort(context, key),
    onOpen: (item) => context.state.open(item.row),
    onSelect: (some, isRange) => selectItems(context, some, isRange),
    onKey: (event, item) => pressed(context, event, item),
    isSelected: (item) => context.chosen.has(item.row),
    describe: (item) => describe(context, item),
  };
  if (context.grid) {
    const { cursor, scroller } = context.grid;
    const [top, left] = [scroller.scrollTop, scroller.scrollLeft];
    context.grid.end();
    context.grid = new Grid(given);
    place.append(context.grid.root);
    context.grid.cursor = Math.min(cursor, items.length - 1);
    scroller.scrollTop = top;
    context.grid.scroller.scrollTop = top;
    context.grid.scroller.scrollLeft = left;
    context.grid.draw();
  } else {
    context.grid = new Grid(given);
    place.append(context.grid.root);
  }
}

// --- rows -------------------------------------------------------------------------------------

// One item a trial, always the whole trial, or one a run. The baseline comes first.
export function itemsOf(context, rows) {
  const { search, state } = context;
  if (!state.has("fold")) return rows.map((row) => ({ row, trial: null, rows: [row] }));
  const trials = [...new Set(rows.map((row) => search.trialOf[row]))];
  const fits = new Set(rows);
  return trials.flatMap((trial) => {
    const members = search.trials.get(trial);
    const row = representative(context, members);
    const item = { row, trial, rows: members, kind: members.length > 1 ? "folded" : "" };
    if (!context.unfolded.has(trial) || members.length < 2) return [item];
    const inside = members.map((member) => ({ row: member, trial: null, rows: [member], child: true, kind: `child${fits.has(member) ? "" : " unfit"}` }));
    return [{ ...item, children: inside }];
  });
}

// The run that stands for a trial: the nearest to its mean, else the newest.
function representative(context, members) {
  const { search, state } = context;
  if (members.length === 1) return members[0];
  const group = search.group(state.metric.name, search.trialOf[members[0]]);
  if (!group || !group.sample.length) return members[members.length - 1];
  const counted = group.measurements.filter((m) => m.value !== null);
  return counted.reduce((best, m) => (Math.abs(m.value - group.mean) < Math.abs(best.value - group.mean) ? m : best)).row;
}

export function sortOf(context) {
  const text = context.state.get("s");
  if (text) return { key: text.replace(/^-/, ""), down: text.startsWith("-") };
  const metric = context.state.metric;
  return metric.name ? { key: `metrics.${metric.name}`, down: metric.direction !== "minimize" } : { key: "started", down: true };
}

function changeSort(context, key) {
  const now = sortOf(context);
  const isBestLow = context.search.metric(key.slice(8)).direction === "minimize";
  const down = now.key === key ? !now.down : key.startsWith("metrics.") ? !isBestLow : key === "started";
  context.state.set({ s: `${down ? "-" : ""}${key}` });
}

// Missing values come last in either direction, numbers before texts.
export function sortItems(context, items, columns) {
  const { key, down } = sortOf(context);
  const column = columns.find((one) => one.key === key);
  const keyed = items.map((item) => {
    const value = sortValue(context, key, item, column) ?? null;
    return { item, value, rank: value === null ? 2 : typeof value === "string" ? 1 : 0 };
  });
  const way = down ? -1 : 1;
  keyed.sort((a, b) => a.rank - b.rank || (a.value < b.value ? -way : a.value > b.value ? way : b.item.row - a.item.row));
  const baseline = context.state.baseline;
  const isBase = (item) => baseline !== null && item.rows.includes(baseline);
  const sorted = keyed.map((one) => one.item);
  const found = baseline === null ? sorted : [...sorted.filter(isBase), ...sorted.filter((item) => !isBase(item))];
  return found.flatMap((item) => (item.children ? [item, ...item.children] : [item]));
}

function sortValue(context, key, item, column) {
  if (column?.sorts) return column.sorts(item);
  const { search } = context;
  if (key.startsWith("metrics.")) {
    const group = item.trial ? search.group(key.slice(8), item.trial) : null;
    if (group?.sample.length) return group.mean;
    const value = search.value(key.slice(8), item.row);
    return Number.isNaN(value) ? null : value;
  }
  const value = search.columns.get(key, item.row);
  return typeof value === "boolean" ? Number(value) : Array.isArray(value) ? value.join(" ") : value;
}

// --- columns ----------------------------------------------------------------------------------

function columnsOf(context, rows) {
  const { search, state } = context;
  const metric = state.metric;
  const hidden = new Set(state.list("hide"));
  const shown = state.list("show");
  const found = [selectColumn(context), nameColumn(context)];
  if (metric.name) found.push(metricColumn(context, metric.name, true), deltaColumn(context));
  if (Object.keys(search.payload.series).length && metric.name) found.push(curveColumn(context));
  found.push(decisionColumn(context), textColumn(context, "reason", "Tried because", 290));
  found.push(...usualKeys(context, rows).map((key) => keyColumn(context, key)));
  found.push(startedColumn(context), spanColumn(context), authorColumn(context), outcomeColumn(context), whyColumn(context));
  const asked = state.named?.columns;
  if (asked) {
    const usual = new Map(found.map((column) => [column.key, column]));
    const also = asked.filter((key) => usual.has(key) || search.columns.has(key)).map((key) => usual.get(key) || keyColumn(context, key));
    found.splice(2, found.length, ...also);
  }
  const known = new Set(found.map((column) => column.key));
  found.push(...shown.filter((key) => !known.has(key) && search.columns.has(key)).map((key) => keyColumn(context, key)));
  return found.filter((column, n) => n < 2 || !hidden.has(column.key) || shown.includes(column.key));
}

function usualKeys(context, rows) {
  const { search, state } = context;
  const main = `metrics.${state.metric.name}`;
  const differs = (key) => {
    const values = search.columns.values(key);
    const first = values[rows[0]];
    return rows.some((row) => values[row] !== first);
  };
  const pick = (kind, most) => {
    const found = [];
    for (const key of search.columns.ofKind(kind)) {
      if (found.length >= most) break;
      if (key !== main && (!state.has("diff") || differs(key)) && !(state.has("fold") && isSeedName(key))) found.push(key);
    }
    return found;
  };
  return [...pick("metrics", MOST_METRICS), ...pick("params", MOST_PARAMS)];
}

function selectColumn(context) {
  return { key: "select", label: "", width: 38, fixed: true, pinned: !isNarrow(), class: "select", cell: (item) => {
    const box = element("input", { type: "checkbox", tabindex: "-1", "aria-label": `select ${clean(context.search.name(item.row))}`,
      on: { change: () => context.state.toggle(item.row) } });
    box.checked = context.chosen.has(item.row);
    return box;
  } };
}

const isNarrow = () => matchMedia("(max-width: 760px)").matches;

function nameColumn(context) {
  const { search, state } = context;
  return { key: "name", label: "Run", width: isNarrow() ? 190 : 240, pinned: !isNarrow(), class: "name", cell: (item) => {
    const isFolded = item.trial && item.rows.length > 1;
    const isOpen = context.unfolded.has(item.trial);
    const fold = isFolded ? element("button", { type: "button", class: "fold", tabindex: "-1", "aria-label": isOpen ? "fold the repeats" : "unfold the repeats",
      "aria-expanded": String(isOpen), on: { click: () => unfold(context, item.trial) } }, isOpen ? "▾" : "▸") : element("span", { class: "fold" });
    const outcome = search.outcome(item.row);
    const badges = [];
    if (item.rows.includes(state.baseline)) badges.push(element("span", { class: "badge" }, "baseline"));
    if (state.metric.best && item.rows.includes(state.metric.best.row)) badges.push(element("span", { class: "badge good" }, "best"));
    const side = isFolded ? repeatsText(search, item.rows) : search.shortIds[item.row];
    return [fold, element("button", { type: "button", class: "link name", tabindex: "-1", on: { click: () => state.open(item.row) } }, foreign(search.name(item.row), 26)),
      outcome !== "succeeded" && !isFolded ? mark(outcome) : null, badges, element("span", { class: `side${isFolded ? "" : " mono"}` }, side)];
  } };
}

function repeatsText(search, rows) {
  const counted = rows.filter((row) => search.outcome(row) === "succeeded").length;
  return counted === rows.length ? `× ${counted}` : `${counted} of ${rows.length}`;
}

export function unfold(context, trial) {
  if (context.unfolded.has(trial)) context.unfolded.delete(trial);
  else context.unfolded.add(trial);
  context.repaint();
}

function metricColumn(context, name, isMain = false) {
  const { search } = context;
  return { key: `metrics.${name}`, label: clean(name), kind: "metric", width: isMain ? 140 : 132, number: true, class: isMain ? "main" : "", cell: (item) => {
    const group = item.trial ? search.group(name, item.trial) : null;
    if (group?.sample.length) return meanText(group);
    const value = search.columns.get(`metrics.${name}`, item.row);
    return value === null ? "" : element("span", { class: search.outcome(item.row) === "succeeded" ? null : "quiet" }, formatValue(value));
  } };
}

function referenceOf(context) {
  const { state } = context;
  return state.baseline ?? state.metric.best?.row ?? null;
}

function deltaColumn(context) {
  const { search, state } = context;
  const metric = state.metric;
  const verdictOf = (item) => {
    const other = referenceOf(context);
    if (other === null) return null;
    const key = `${metric.name} ${item.row} ${search.trialOf[other]}`;
    if (!context.verdicts.has(key)) context.verdicts.set(key, search.decide(metric.name, item.row, other));
    return context.verdicts.get(key);
  };
  return { key: "delta", label: "Δ", kind: state.baseline === null ? "to best" : "to baseline", width: context.search.payload.guarded.length ? 160 : 100, number: true,
    sorts: (item) => quickDifference(context, item),
    cell: (item) => {
      const other = referenceOf(context);
      if (other === null || search.trialOf[other] === search.trialOf[item.row]) return "";
      const verdict = verdictOf(item);
      return difference(verdict, state.baseline === null ? null : metric.direction);
    } };
}

function quickDifference(context, item) {
  const { search, state } = context;
  const other = referenceOf(context);
  if (other === null) return null;
  const means = [item.row, other].map((row) => search.group(state.metric.name, search.trialOf[row])?.mean);
  return means.every(Number.isFinite) ? means[0] - means[1] : null;
}

function curveColumn(context) {
  const { search, state } = context;
  const name = state.metric.name;
  const curves = Object.values(search.payload.series).map((run) => run[name]).filter(Boolean);
  const range = rangeOf(curves.flatMap((curve) => [curve.y[0], curve.y[curve.y.length - 1], curve.y[curve.y.length >> 1]]), state.metric.direction);
  const best = state.metric.best?.row;
  return { key: "curve", label: "Curve", width: 92, fixed: true, cell: (item) => {
    const row = item.rows.find((one) => search.payload.series[one]?.[name]);
    return row === undefined ? "" : sparkline(search.payload.series[row][name], range, item.rows.includes(best));
  } };
}

function decisionColumn(context) {
  const { search } = context;
  const decided = (item) => [...item.rows].reverse().find((row) => search.columns.get("decision", row) !== null);
  return { key: "decision", label: "Decision", width: 98, sorts: (item) => search.columns.get("decision", decided(item) ?? item.row),
    cell: (item) => {
      const row = decided(item);
      return row === undefined ? "" : decisionMark(search, row);
    } };
}

function textColumn(context, key, label, width) {
  return { key, label, width, class: "text", cell: (item) => foreign(context.search.columns.get(key, item.row) || "") };
}

function keyColumn(context, key) {
  if (key.startsWith("metrics.")) return metricColumn(context, key.slice(8));
  const values = context.search.columns.values(key);
  const isNumber = values.every((value) => value === null || typeof value === "number" || typeof value === "bigint");
  return { key, label: clean(shortName(key)), kind: kindOf(key), width: isNumber ? 96 : 128, number: isNumber, class: "mono", title: clean(key),
    cell: (item) => {
      const value = context.search.columns.asked(key, item.row);
      return value === null ? "" : Array.isArray(value) ? foreign(value.join(" ")) : typeof value === "string" ? foreign(value, 60) : formatValue(value);
    } };
}

function startedColumn(context) {
  const { search } = context;
  return { key: "started", label: "Started", width: 84, cell: (item) => formatDay(search.columns.startedMs(item.row), search.year) };
}

function spanColumn(context) {
  return { key: "duration_s", label: "Took", width: 80, number: true, cell: (item) => formatSpan(context.search.columns.get("duration_s", item.row)) };
}

function authorColumn(context) {
  return { key: "author", label: "By", width: 120, class: "text", cell: (item) => foreign(authorName(context.search.columns.get("author", item.row))) };
}

function outcomeColumn(context) {
  return { key: "outcome", label: "Outcome", width: 110, cell: (item) => mark(context.search.outcome(item.row)) };
}

function whyColumn(context) {
  const { search } = context;
  const why = (item) => item.rows.map((row) => lastDecision(search, row)).filter(Boolean).pop();
  return { key: "why", label: "Decided because", width: 300, class: "text", sorts: (item) => why(item)?.text || null,
    cell: (item) => foreign(why(item)?.text || "") };
}

export function lastDecision(search, row) {
  return (search.payload.story[row] || []).filter((said) => said.kind === "decision").pop() || null;
}

// --- operations -------------------------------------------------------------------------------

function selectItems(context, items, isRange) {
  const rows = context.state.selected;
  const added = items.map((item) => item.row);
  if (isRange) context.state.select([...new Set([...rows, ...added])]);
  else context.state.toggle(added[0]);
}

function pressed(context, event, item) {
  if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
    if (!item.trial || item.rows.length < 2) return false;
    if ((event.key === "ArrowRight") !== context.unfolded.has(item.trial)) unfold(context, item.trial);
    return true;
  }
  return false;
}

function describe(context, item) {
  const { search, state } = context;
  const group = item.trial ? search.group(state.metric.name, item.trial) : null;
  const value = group?.sample.length ? meanText(group) : formatValue(search.value(state.metric.name, item.row));
  const decision = search.columns.get("decision", item.row);
  return [search.name(item.row), value && `${state.metric.name} ${value}`, decision || "no decision"].filter(Boolean).join(", ");
}

function chooseColumns(context) {
  const { search, state } = context;
  const now = new Set(columnsOf(context, context.matching().rows).map((column) => column.key));
  const every = ["reason", "decision", "started", "duration_s", "author", "outcome", "why", "delta", "curve",
    ...search.columns.ofKind("metrics"), ...search.columns.ofKind("params"), ...search.columns.ofKind("env"), ...search.columns.ofKind("data"),
    "id", "origin", "branch", "commit", "command", "tags", "parent"].filter((key) => ["why", "delta", "curve"].includes(key) || search.columns.has(key));
  const list = element("div", { class: "choices" });
  const box = element("input", { type: "text", placeholder: "find a column", "aria-label": "find a column" });
  const draw = () => {
    const words = box.value.toLowerCase();
    const fitting = every.filter((key) => key.toLowerCase().includes(words));
    const rest = fitting.length - MOST_CHOICES;
    replaceChildren(list, fitting.slice(0, MOST_CHOICES).map(choice), rest > 0 ? element("p", { class: "quiet" }, `and ${formatNumber(rest)} more; type a part of a name`) : null);
  };
  const choice = (key) => {
    const input = element("input", { type: "checkbox", on: { change: () => {
      const [shown, hidden] = [state.list("show"), state.list("hide")].map((names) => names.filter((name) => name !== key));
      (input.checked ? shown : hidden).push(key);
      if (input.checked) now.add(key);
      else now.delete(key);
      state.setList("show", shown);
      state.setList("hide", hidden);
    } } });
    input.checked = now.has(key);
    return element("label", { class: "choice" }, input, foreign(shortName(key), 50), " ", element("span", { class: "quiet" }, kindOf(key)));
  };
  box.addEventListener("input", draw);
  draw();
  openDialog("Columns", box, list);
}

// --- copies -----------------------------------------------------------------------------------

const FORMS = { CSV: csvText, Markdown: markdownText, LaTeX: latexText };

function copyDialog(context) {
  openDialog("Copy", element("p", null, "The rows of the grid, exact numbers:"),
    element("p", { class: "row" }, Object.entries(FORMS).map(([name, form]) => button(name, () => copy(form(tableOf(context)), `the rows as ${name}`)))));
}

export function tableOf(context) {
  const { search } = context;
  const rows = context.matching().rows;
  const columns = columnsOf(context, rows).filter((column) => !["select", "curve", "delta", "why"].includes(column.key));
  const items = sortItems(context, itemsOf(context, rows), columns).slice(0, MOST_COPIED);
  const exact = (key, item) => {
    if (key === "started") return isoText(search.columns.get("started", item.row));
    const group = item.trial && key.startsWith("metrics.") ? search.group(key.slice(8), item.trial) : null;
    const value = group?.sample.length ? group.mean : search.columns.asked(key, item.row);
    return value === null ? "" : Array.isArray(value) ? value.join(" ") : value;
  };
  return [columns.map((column) => column.key), ...items.map((item) => columns.map((column) => exact(column.key, item)))];
}

// A text that a spreadsheet would take for a formula is quoted by an apostrophe.
function csvCell(value) {
  if (typeof value !== "string") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function csvText(rows) {
  return rows.map((cells) => cells.map(csvCell).join(",")).join("\r\n");
}

function markdownText(rows) {
  const escaped = (cell) => clean(String(cell)).replace(/[\\|<>[\]*_`]/g, "\\$&");
  const line = (cells) => `| ${cells.map(escaped).join(" | ")} |`;
  return [line(rows[0]), `|${rows[0].map(() => "---").join("|")}|`, ...rows.slice(1).map(line)].join("\n");
}

function latexText(rows) {
  const escaped = (cell) => clean(String(cell)).replace(/[\\{}$&#^_%~]/g, (letter) => ({ "\\": "\\textbackslash{}", "^": "\\textasciicircum{}", "~": "\\textasciitilde{}" }[letter] || `\\${letter}`));
  const line = (cells) => `${cells.map(escaped).join(" & ")} \\\\`;
  return [`\\begin{tabular}{${"l".repeat(rows[0].length)}}`, line(rows[0]), "\\hline", ...rows.slice(1).map(line), "\\end{tabular}"].join("\n");
}

export function countText(context) {
  if (hooks.counted?.(context)) return hooks.counted(context);
  const { rows } = context.matching();
  const { n } = context.search;
  return rows.length === n ? count(n, "run") : `${formatNumber(rows.length)} of ${count(n, "run")}`;
}
