// The live page: data from the server, changes as they come, and what it says while there are none.

import { arrow, authorName, mark, notify, runLink } from "./actions.js";
import { announce, clean, drawing, element, foreign, heading, hooks, replaceChildren } from "./elements.js";
import { footerTexts, makeLens } from "./lens.js";
import { Columns } from "./load.js";
import { FilterFault, matchingRows } from "./filter.js";
import { count, formatDay, formatNumber, formatSpan, formatValue } from "./numbers.js";
import { sortOf } from "./runs.js";
import { Search } from "./search.js";

const SILENT_MS = 15000;
const LONGEST_PAUSE_MS = 30000;
const HIDDEN_MS = 60000;
const MOST_POINTS = 2000;
const SHOWN = 12;
const MOST_ADDED = 5000;

const STATES = {
  "alive": "",
  "command alive": "gitexp was killed; the command goes on",
  "by hand": "begun by hand",
  "elsewhere": "on another machine, or not to be seen from here",
  "dead": "its process ended; the next git exp command completes its record",
  "sealed": "it ended and is being recorded",
};

const live = {
  page: null,
  source: null,
  state: "connecting",
  heard: Date.now(),
  pause: 1000,
  version: 0,
  wanted: 0,
  loading: false,
  runs: new Map(),
  more: 0,
  offset: 0,
  fault: null,
};

// --- data -------------------------------------------------------------------------------------

async function load() {
  const answer = await fetch("data");
  const found = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(found.error), { told: found });
  live.version = Number(answer.headers.get("X-Version"));
  return found;
}

const later = (ms) => new Promise((done) => setTimeout(done, ms));

hooks.read = async () => {
  const place = document.getElementById("page");
  place.append(element("p", { class: "empty", role: "status" }, "Reading the runs …"));
  for (;;) {
    try {
      return await load();
    } catch (error) {
      place.replaceChildren(element("p", { class: "notice", role: "alert" }, told(error.told || { error: "no answer from git exp ui" })));
      await later(2000);
    }
  }
};

function told(fault) {
  return clean([fault.error, fault.because].filter(Boolean).join(": "));
}

async function renewWhenWanted() {
  if (live.loading || live.wanted <= live.version) return;
  live.loading = true;
  try {
    const payload = await load();
    while (isBusy()) {
      live.waits = true;
      await later(300);
    }
    live.waits = false;
    renew(live.page, payload);
  } catch (error) {
    if (error.told) setFault(error.told);
    else lost();
  } finally {
    live.loading = false;
  }
  if (live.state === "live") renewWhenWanted();
}

// A reader who is choosing, dragging, or reading a table is not disturbed.
function isBusy() {
  const { main } = live.page.frame;
  return live.isPressed || document.querySelector("dialog[open]") !== null || main.querySelector(".as-table > *") !== null || main.contains(getSelection().anchorNode) && !getSelection().isCollapsed;
}

// Everything anew: the runs, and what is said about them.
function renew(page, payload) {
  const before = page.search;
  const cursor = page.grid?.item ? before.columns.ids[page.grid.item.row] : null;
  page.search = new Search(payload);
  live.base = page.search;
  page.state.search = page.search;
  page.found = { text: null, rows: [], fault: null };
  page.chosenText = null;
  page.verdicts.clear();
  for (const run of live.runs.values()) overlay(run);
  const names = (search) => search.metrics.map((metric) => metric.name).join("\n");
  if (names(before) !== names(page.search)) page.frame.parts = makeLens(page, page.frame.lens);
  replaceChildren(page.frame.footer, footerTexts(payload).map((text) => element("span", null, text)));
  repaint();
  keepCursor(page, cursor);
  if (!windowOf(page.search)) tellEnds(before, page.search);
  askForRows();
}

function repaint() {
  const { page } = live;
  const focusable = "button, a, input, select, textarea, summary, [tabindex]";
  const label = (one) => one.getAttribute("aria-label") || one.textContent;
  const inside = [...page.frame.main.querySelectorAll(focusable)];
  const at = inside.indexOf(document.activeElement);
  const wide = [...page.frame.main.querySelectorAll(".wide")].map((one) => one.scrollLeft);
  const open = [...page.frame.main.querySelectorAll("details")].map((one) => one.open);
  page.repaint();
  [...page.frame.main.querySelectorAll("details")].forEach((one, n) => (one.open = open[n] || false));
  [...page.frame.main.querySelectorAll(".wide")].forEach((one, n) => (one.scrollLeft = wide[n] || 0));
  if (at < 0 || page.frame.main.contains(document.activeElement)) return;
  const same = [...page.frame.main.querySelectorAll(focusable)].map((one, n) => ({ one, n })).filter(({ one }) => label(one) === label(inside[at]));
  same.sort((a, b) => Math.abs(a.n - at) - Math.abs(b.n - at));
  (same[0]?.one || page.frame.main).focus({ preventScroll: true });
}

function keepCursor(page, id) {
  const row = id === null ? undefined : page.search.rowOfId.get(id);
  if (row === undefined || !page.grid) return;
  const at = page.grid.given.items.findIndex((item) => item.rows.includes(row));
  if (at >= 0) page.grid.cursor = at;
  page.grid.draw();
}

function tellEnds(before, after) {
  const ended = [];
  const begun = [];
  before.columns.ids.forEach((id, row) => {
    const now = after.rowOfId.get(id);
    if (before.outcome(row) === "running" && now !== undefined && after.outcome(now) !== "running") ended.push(now);
  });
  after.columns.ids.forEach((id, row) => {
    if (!before.rowOfId.has(id)) (after.outcome(row) === "running" ? begun : ended).push(row);
  });
  const metric = live.page.state.metric.name;
  const words = (row) => {
    const value = after.columns.get(`metrics.${metric}`, row);
    return `${after.name(row)} ${after.outcome(row)}${value === null ? "" : `, ${metric} ${formatValue(value)}`}`;
  };
  if (ended.length) notify(ended.length === 1 ? words(ended[0]) : `${count(ended.length, "run")} ended`);
  else if (begun.length) announce(begun.length === 1 ? `${after.name(begun[0])} began` : `${count(begun.length, "run")} began`);
}

// --- a page that does not hold all runs -------------------------------------------------------

const windowOf = (search) => search.payload.window || null;

// The rows that the server found; a fault is found here, as in any page.
hooks.filter = (page, text) => {
  const { search } = page;
  const shown = windowOf(search);
  if (!shown) return null;
  const rows = () => shown.ids.map((id) => search.rowOfId.get(id)).filter((row) => row !== undefined);
  let fault = live.refused?.text === text.trim() ? live.refused.fault : null;
  try {
    if (text.trim()) matchingRows(text, search.columns, search.known);
  } catch (found) {
    if (!(found instanceof FilterFault)) throw found;
    fault = found;
  }
  return { text, rows: rows(), fault };
};

hooks.counted = ({ search }) => {
  const shown = windowOf(search);
  if (!shown) return null;
  const all = count(search.payload.total, "run");
  const n = formatNumber(shown.ids.length);
  if (shown.where) return shown.more ? `the first ${n} that fit, of ${all}` : `${n} of ${all}`;
  return `the first ${n} of ${all}`;
};

hooks.tally = (search) => {
  const { brief, total } = search.payload;
  if (!windowOf(search) || !brief?.outcomes) return null;
  return `${count(total, "run")}: ${Object.entries(brief.outcomes).map(([word, n]) => `${formatNumber(n)} ${word}`).join(", ")}. Shown here are the newest, the best, and those that a filter finds.`;
};

async function askForRows() {
  const { page } = live;
  const shown = windowOf(page.search);
  if (!shown || page.matching().fault || live.asking) return;
  const where = page.state.get("q").trim();
  const { key, down } = sortOf(page);
  const sort = `${down ? "-" : ""}${key}`;
  if (where === shown.where && sort === shown.sort) return;
  live.asking = true;
  try {
    const answer = await fetch(`rows?${new URLSearchParams({ where, sort })}`);
    const found = await answer.json();
    if (answer.ok) showRows({ ...found, window: { ...found.window, where, sort } });
    else refuse(where, found);
  } catch {
    lost();
  } finally {
    live.asking = false;
  }
  if (live.state === "live") askForRows();
}

function refuse(text, told) {
  const { page } = live;
  live.refused = { text, fault: { at: null, message: told.error, hint: told.because } };
  page.found = { text: null, rows: [], fault: null };
  page.repaint();
}

function showRows(found) {
  const { page } = live;
  live.refused = null;
  const isFull = page.search.n + found.n > live.base.n + MOST_ADDED;
  page.search = new Search(withRows(isFull ? live.base : page.search, found));
  page.state.search = page.search;
  page.found = { text: null, rows: [], fault: null };
  page.chosenText = null;
  page.verdicts.clear();
  repaint();
}

// The payload with more rows behind its own, whose places stay.
function withRows(search, found) {
  const { payload, columns } = search;
  const more = new Columns(found);
  const added = more.ids.flatMap((id, row) => (search.rowOfId.has(id) ? [] : [row]));
  const place = new Map([...columns.ids, ...added.map((row) => more.ids[row])].map((id, row) => [id, row]));
  const linked = (value, ids) => {
    const id = typeof value === "number" ? ids[value] : value;
    return id === null ? null : (place.get(id) ?? id);
  };
  const joinedColumns = {};
  for (const name of new Set([...columns.names, ...more.names])) {
    const isLink = name === "parent" || name === "reproduces";
    const own = columns.values(name);
    const other = more.values(name);
    joinedColumns[name] = { raw: isLink ? [...own.map((value) => linked(value, columns.ids)), ...added.map((row) => linked(other[row], more.ids))] : [...own, ...added.map((row) => other[row])] };
  }
  const texts = (name) => {
    const all = { ...payload[name] };
    added.forEach((row, n) => found[name][row] && (all[search.n + n] = found[name][row]));
    return all;
  };
  return { ...payload, n: place.size, columns: joinedColumns, story: texts("story"), tails: texts("tails"), window: found.window };
}

// --- runs that go on --------------------------------------------------------------------------

// What a run has logged so far, where views look for values and curves.
function overlay(run) {
  const { search } = live.page;
  const row = search.rowOfId.get(run.run);
  if (row === undefined || search.outcome(row) !== "running") return;
  const curves = Object.entries(run.curves).filter(([, curve]) => curve.y.length > 1);
  if (curves.length) search.payload.series[row] = Object.fromEntries(curves);
  for (const [name, value] of Object.entries(run.values)) {
    const key = `metrics.${name}`;
    if (!search.columns.has(key)) {
      search.columns.packed[key] = { raw: new Array(search.n).fill(null) };
      search.columns.names.push(key);
      search.known.add(key);
    }
    search.columns.values(key)[row] = value;
  }
}

function takeAll(told) {
  live.offset = Date.now() - told.now;
  live.more = told.more;
  live.runs = new Map(told.runs.map((run) => [run.run, run]));
  for (const run of live.runs.values()) overlay(run);
  drawRunning();
  grow(true);
}

function takeSteps(told) {
  live.offset = Date.now() - told.now;
  for (const { curves, ...state } of told.runs) {
    const known = live.runs.get(state.run) || { curves: {} };
    for (const [name, points] of Object.entries(curves)) known.curves[name] = joined(known.curves[name], points);
    const run = { ...known, ...state };
    live.runs.set(run.run, run);
    overlay(run);
  }
  drawRunning();
  grow(false);
}

function joined(curve, points) {
  if (!curve) return points;
  const found = { x: [...curve.x, ...points.x], y: [...curve.y, ...points.y] };
  if (curve.t && points.t) found.t = [...curve.t, ...points.t];
  return found.y.length > MOST_POINTS ? thinned(found) : found;
}

// Half of the points: the lowest and the highest of every four, so that peaks stay.
function thinned(curve) {
  const kept = [];
  for (let n = 0; n < curve.y.length; n += 4) {
    const some = [n, n + 1, n + 2, n + 3].filter((at) => at < curve.y.length);
    const by = (sign) => some.reduce((a, b) => (sign * curve.y[b] < sign * curve.y[a] ? b : a));
    kept.push(...new Set([by(1), by(-1)].sort((a, b) => a - b)));
  }
  if (kept.at(-1) !== curve.y.length - 1) kept.push(curve.y.length - 1);
  const pick = (values) => values && kept.map((n) => values[n]);
  return curve.t ? { x: pick(curve.x), y: pick(curve.y), t: pick(curve.t) } : { x: pick(curve.x), y: pick(curve.y) };
}

// Growing curves and the page of a run that goes on; tables and other views stay as they are.
function grow(isOther) {
  const { page } = live;
  const { state } = page;
  const isRunPage = state.run !== null && page.search.outcome(state.run) === "running";
  if (!isRunPage && (state.run !== null || state.get("v") !== "curves")) return;
  if (!isRunPage && page.growCurves?.() && !isOther) return;
  clearTimeout(live.growing);
  live.growing = setTimeout(() => (isBusy() ? null : repaint()), isRunPage ? 200 : 0);
}

const silence = (run) => (Date.now() - live.offset - run.sign) / 1000;

function clockMark() {
  return element("span", { class: "mark warn" }, drawing("svg", { class: "shape warn", viewBox: "0 0 12 12", width: 11, height: 11, "aria-hidden": "true", focusable: "false" },
    drawing("path", { d: "M6 .5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11Zm-.6 2.3v3.7l2.7 1.6.6-1-2.1-1.2V2.8Z" })), element("span", null, "stalled"));
}

function signText(run) {
  const seconds = Math.max(0, silence(run));
  if (run.stalled) return `no sign of life for ${formatSpan(seconds)}`;
  return STATES[run.state] || (seconds < 3 ? "heard just now" : `heard ${formatSpan(Math.round(seconds))} ago`);
}

function runningItem(context, run) {
  const { search, state } = context;
  const row = search.rowOfId.get(run.run);
  const metric = state.metric;
  const value = run.values[metric.name];
  return element("li", { class: run.stalled ? "stalled" : null },
    run.stalled ? clockMark() : mark(run.state === "alive" || run.state === "by hand" || run.state === "command alive" ? "running" : "unknown"), " ",
    row === undefined ? element("strong", null, foreign(run.name, 40)) : runLink(context, row),
    value === undefined ? null : element("span", { class: "number" }, ` ${clean(metric.name)}${arrow(metric.direction)} ${formatValue(value)}`),
    run.step === null ? null : element("span", { class: "quiet" }, ` at step ${formatValue(run.step)}`),
    element("div", { class: "said" }, foreign(run.reason || "no reason given", 160), " · ", foreign(authorName(run.author), 40),
      run.started === null ? "" : ` · since ${formatDay(run.started, search.year)} ${new Date(run.started).toISOString().slice(11, 16)} UTC`),
    element("div", { class: `said sign${run.stalled ? " warn" : ""}`, "data-run": run.run }, signText(run)));
}

hooks.running = (context) => {
  const place = element("section", { class: "running" });
  fillRunning(context, place);
  return place;
};

function fillRunning(context, place) {
  const runs = [...live.runs.values()];
  const elsewhere = (context.search.payload.brief?.running || []).filter((one) => one.row !== undefined && !live.runs.has(context.search.columns.ids[one.row]));
  const all = runs.length + live.more + elsewhere.length;
  const items = runs.slice(0, SHOWN).map((run) => runningItem(context, run));
  items.push(...elsewhere.slice(0, SHOWN).map((one) => element("li", null, mark("unknown"), " ", runLink(context, one.row),
    element("div", { class: "said" }, "it has no journal here: it goes on elsewhere, or never ended"))));
  const rest = all - items.length;
  replaceChildren(place, heading("Running", all ? String(all) : null),
    items.length ? element("ul", { class: "plain" }, items) : element("p", { class: "quiet" }, "Nothing is running here."),
    rest > 0 ? element("p", { class: "quiet" }, `and ${rest} more`) : null);
}

function drawRunning() {
  const place = live.page.frame.main.querySelector(".running");
  if (place && !place.contains(document.activeElement)) fillRunning(live.page, place);
  else tick();
}

hooks.notice = (context, row) => {
  const run = live.runs.get(context.search.columns.ids[row]);
  if (!run) return null;
  return element("p", { class: run.stalled ? "notice stalled" : "notice" }, "This run has not ended; its numbers are not counted. ", element("span", { class: "sign", "data-run": run.run }, signText(run)),
    run.step === null ? "" : ` It is at step ${formatValue(run.step)}.`);
};

// --- the connection ---------------------------------------------------------------------------

function connect() {
  live.source?.close();
  const source = new EventSource("events");
  live.source = source;
  const on = (name, act) => source.addEventListener(name, (event) => {
    heard();
    act(JSON.parse(event.data));
  });
  on("data", ({ version }) => {
    live.wanted = version;
    setFault(null);
    renewWhenWanted();
  });
  on("running", takeAll);
  on("steps", takeSteps);
  on("fault", setFault);
  on("beat", () => {});
  on("end", () => {
    live.hasEnded = true;
    lost();
  });
  source.onerror = () => lost();
}

function heard() {
  live.heard = Date.now();
  live.pause = 1000;
  live.hasEnded = false;
  if (live.state !== "live") setState("live");
}

function lost() {
  live.source?.close();
  live.source = null;
  setState("lost");
  clearTimeout(live.retry);
  live.retry = setTimeout(() => document.hidden || connect(), live.pause);
  live.pause = Math.min(LONGEST_PAUSE_MS, 2 * live.pause);
}

function setState(state) {
  if (state === live.state) return;
  const was = live.state;
  live.state = state;
  if (state === "lost") announce(live.hasEnded ? "git exp ui has ended" : "no answer from git exp ui");
  else if (was === "lost") announce("connected again");
  tick();
}

function setFault(fault) {
  live.fault = fault;
  const { header } = live.page.frame;
  header.querySelector(".live-fault")?.remove();
  if (fault) header.append(element("p", { class: "notice live-fault", role: "alert" }, `${told(fault)}. The page shows the state before; it tries again.`));
}

hooks.mark = (context) => {
  const isLive = live.state === "live";
  const ago = formatSpan(Math.round((Date.now() - live.heard) / 1000));
  const shown = isLive ? `Live on ${clean(location.hostname)}${context.search.payload.read_only ? ", read-only" : ""}${live.waits ? ", changes wait" : ""}`
    : live.state === "connecting" ? "Connecting" : `${live.hasEnded ? "git exp ui has ended" : "No answer"}, last heard ${ago} ago`;
  return element("span", { class: `live-mark${isLive ? "" : " is-lost"}` }, element("span", { class: "live-dot", "aria-hidden": "true" }), shown);
};
hooks.footer = "This page talks to git exp ui on this machine only.";

// Once a second: how long ago everything was.
function tick() {
  const { page } = live;
  if (live.state === "live" && Date.now() - live.heard > SILENT_MS) lost();
  const place = page.frame.tools.querySelector(".live-mark");
  const made = hooks.mark(page);
  if (place && place.textContent !== made.textContent) place.replaceWith(made);
  for (const one of document.querySelectorAll(".sign")) {
    const run = live.runs.get(one.dataset.run);
    const text = run ? signText(run) : "";
    if (run && one.textContent !== text) one.textContent = text;
  }
}

hooks.begin = (page) => {
  live.page = page;
  live.base = page.search;
  live.wanted = live.version;
  addEventListener("pointerdown", () => (live.isPressed = true), true);
  for (const name of ["pointerup", "pointercancel", "blur"]) addEventListener(name, () => (live.isPressed = false), true);
  document.addEventListener("visibilitychange", () => {
    clearTimeout(live.hiding);
    if (document.hidden) live.hiding = setTimeout(() => live.source?.close(), HIDDEN_MS);
    else if (!live.source || live.source.readyState === EventSource.CLOSED) connect();
  });
  page.state.listeners.push(() => askForRows());
  askForRows();
  setInterval(() => document.hidden || tick(), 1000);
  connect();
};
