// Ideas: which thought led to which. An idea is the trials with one parent and one reason.

import { arrow, changesBetween, difference, mark, meanText, runLink } from "./actions.js";
import { dotPlot, rangeOf } from "./charts.js";
import { clean, drawing, element, foreign, heading } from "./elements.js";
import { withGuards } from "./judge.js";
import { count, formatDay, formatValue } from "./numbers.js";
import { lastDecision } from "./runs.js";

const MOST_SIDE = 12;
const DEEPEST = 4;

export function ideasView(context) {
  const { search, state } = context;
  const ideas = search.payload.ideas;
  if (!ideas.length) return element("p", { class: "empty" }, "No ideas yet: a run with a reason begins one.");
  const metric = search.metrics[0] || state.metric;
  const range = rangeOf(ideas.map((idea) => idea.best?.mean).filter((v) => v !== undefined && v !== null), metric.direction);
  const items = [];
  for (const { idea, level, folded } of inOrder(context, ideas)) {
    items.push(folded ? foldedItem(context, folded, level) : ideaItem(context, idea, level, metric, range));
  }
  const steps = ideas.filter((idea) => idea.line).length;
  return element("div", { class: "ideas" },
    heading("Ideas", `${count(ideas.length, "idea")}: the thick line leads to the best in ${count(steps, "step")}. A row shows its best trial; dots are its others.`),
    element("div", { class: "idea heads", "aria-hidden": "true" }, element("span", { class: "tree" }), element("span", null, "Idea"), element("span", null, "What was changed, and what was decided"),
      element("span", { class: "number" }, clean(metric.name) + arrow(metric.direction)), element("span", { class: "number" }, "Δ"), element("span", null, "")),
    element("ol", { class: "plain tree-list" }, items));
}

// The line from the first idea to the best; side ideas hang under their parent before it goes on.
function inOrder(context, ideas) {
  const below = new Map();
  ideas.forEach((idea, n) => {
    const key = idea.parent < 0 ? -1 : idea.parent;
    if (!below.has(key)) below.set(key, []);
    below.get(key).push(n);
  });
  const found = [];
  const waiting = (below.get(-1) || []).map((n) => ({ n, level: ideas[n].line ? 0 : 1 })).reverse();
  while (waiting.length) {
    const next = waiting.pop();
    if (next.folded) {
      found.push(next);
      continue;
    }
    const idea = ideas[next.n];
    found.push({ idea, level: next.level });
    const children = below.get(next.n) || [];
    const side = children.filter((n) => !ideas[n].line);
    const line = children.filter((n) => ideas[n].line);
    const isOpen = context.openIdeas.has(next.n);
    const shown = side.length > MOST_SIDE && !isOpen ? side.filter((n) => decisionOf(context, ideas[n])) : side;
    const entries = shown.map((n) => ({ n, level: next.level + 1 }));
    if (shown.length < side.length) entries.push({ folded: { parent: next.n, more: side.length - shown.length }, level: next.level + 1 });
    entries.push(...line.map((n) => ({ n, level: 0 })));
    waiting.push(...entries.reverse());
  }
  return found;
}

function foldedItem(context, folded, level) {
  const open = () => {
    context.openIdeas.add(folded.parent);
    context.repaint();
  };
  return element("li", { class: `idea level${Math.min(level, DEEPEST)}` }, element("span", { class: "tree" }),
    element("button", { type: "button", class: "link", on: { click: open } }, `and ${folded.more} more without a decision`));
}

// The decision on its best trial, else the last one on any.
function decisionOf(context, idea) {
  const { search } = context;
  const decided = idea.rows.filter((row) => search.columns.get("decision", row) !== null);
  const best = decided.filter((row) => idea.best && search.trialOf[row] === search.trialOf[idea.best.row]);
  const last = [...decided, ...best].pop();
  return last === undefined ? null : { word: search.columns.get("decision", last), why: lastDecision(search, last)?.text || "" };
}

function ideaItem(context, idea, level, metric, range) {
  const { search } = context;
  const decision = decisionOf(context, idea);
  const unfinished = idea.rows.filter((row) => search.outcome(row) !== "succeeded" && search.outcome(row) !== "running").length;
  const isRunning = idea.rows.some((row) => search.outcome(row) === "running");
  const row = idea.best?.row ?? idea.rows[idea.rows.length - 1];
  const values = idea.rows.map((one) => search.counted(metric.name, one)).filter((value) => value !== null);
  const words = [count(idea.rows.length, "run"), unfinished ? `${unfinished} did not succeed` : ""].filter(Boolean).join(", ");
  return element("li", { class: `idea level${Math.min(level, DEEPEST)}${idea.line ? " on-line" : ""}` },
    element("span", { class: "tree" }, treeMark(decision, isRunning, idea.line)),
    element("div", null, element("span", { class: "hidden" }, `Level ${level + 1}. `),
      element("span", { class: "reason" }, idea.reason ? foreign(idea.reason, 160) : element("span", { class: "quiet" }, "no reason given")),
      element("span", { class: "said" }, `${formatDay(search.columns.startedMs(idea.rows[0]), search.year)}, ${words}`)),
    element("div", null, ideaChanges(search, idea, row), decision ? element("div", { class: "decided" }, mark(decision.word), " ", foreign(decision.why, 240)) : null),
    element("span", { class: "number" }, row === undefined ? "" : runLink(context, row, 20), element("div", null, meanText(idea.best))),
    element("span", { class: "number" }, idea.verdict ? difference(idea.best.row === null ? idea.verdict : withGuards(idea.verdict, search.guardsOf(metric.name, row)), metric.direction) : ""),
    element("span", { class: "plot-cell" }, values.length ? dotPlot(values.slice(0, 200), idea.best?.mean, range) : ""));
}

function treeMark(decision, isRunning, isOnLine) {
  const kind = isRunning ? "running" : decision?.word === "discard" ? "discard" : decision?.word === "stop" ? "stop" : isOnLine ? "line" : "open";
  const shapes = {
    running: drawing("circle", { class: "good-fill", cx: 8, cy: 8, r: 4 }),
    discard: drawing("path", { class: "cross", d: "M4 4l8 8m0 -8l-8 8" }),
    stop: drawing("rect", { class: "bad-fill", x: 4, y: 4, width: 8, height: 8 }),
    line: drawing("circle", { class: "ring", cx: 8, cy: 8, r: 5 }),
    open: drawing("circle", { class: "ring side", cx: 8, cy: 8, r: 3.5 }),
  };
  return drawing("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true", focusable: "false" }, shapes[kind]);
}

function ideaChanges(search, idea, row) {
  const parent = idea.above ?? search.columns.get("parent", idea.rows[0]);
  if (typeof parent !== "number") return element("span", { class: "quiet" }, "the start");
  const changes = changesBetween(search, parent, row);
  const shown = changes.slice(0, 4).map(([name, before, after]) => element("span", { class: "changed" }, foreign(name, 24), " ",
    element("span", { class: "quiet" }, `${before === null ? "none" : formatValue(before, 3)} → `), element("strong", null, after === null ? "none" : foreign(formatValue(after, 3), 24))));
  const tried = changes.slice(0, 2).map(([name]) => {
    const values = new Set(idea.rows.map((one) => search.columns.get(`params.${name}`, one)));
    return values.size > 1 ? `${clean(name)} ${[...values].slice(0, 6).map((value) => formatValue(value, 3)).join(" ")}${values.size > 6 ? " …" : ""}` : "";
  }).filter(Boolean);
  const code = search.columns.get("digest", parent) !== search.columns.get("digest", row);
  return element("div", { class: "mono" }, shown, code ? element("span", { class: "changed" }, "code") : null,
    !shown.length && !code ? element("span", { class: "quiet" }, "the same trial again") : null,
    tried.length ? element("span", { class: "quiet" }, ` out of ${tried.join(", ")}`) : null);
}
