// Pieces that several views show: runs, decisions, outcomes, differences, tables, copied texts.

import { announce, button, clean, drawing, element, foreign } from "./elements.js";
import { formatMean, formatNumber, formatSd, formatSigned, formatValue } from "./numbers.js";
import { guardWords, verdictWords } from "./judge.js";

const MARKS = {
  improve: ["good", "M6 1 11 6H8V11H4V6H1Z"],
  keep: ["good", "M6 1.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9Z"],
  discard: ["bad", "M2 .8 6 4.8 10 .8 11.2 2 7.2 6 11.2 10 10 11.2 6 7.2 2 11.2.8 10 4.8 6 .8 2Z"],
  stop: ["bad", "M1.5 1.5h9v9h-9Z"],
  succeeded: ["good", "M1 6.4 2.4 5 4.8 7.4 9.8 2.2 11.2 3.6 4.8 10.2Z"],
  failed: ["bad", "M6 .5 11.7 11H.3ZM5.4 4h1.2v3.6H5.4Zm0 4.4h1.2v1.2H5.4Z"],
  "timed out": ["warn", "M6 .5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11Zm-.6 2.3v3.7l2.7 1.6.6-1-2.1-1.2V2.8Z"],
  interrupted: ["warn", "M2 1h3v10H2ZM7 1h3v10H7Z"],
  running: ["good", "M3 1 11 6 3 11Z"],
  unknown: ["warn", "M6 .5 11.5 6 6 11.5.5 6ZM6 3 3 6l3 3 3-3Z"],
};

// A shape beside its word; the shape says nothing that the word does not.
export function mark(word) {
  const [kind, path] = MARKS[word] || MARKS.unknown;
  return element("span", { class: "mark" },
    drawing("svg", { class: `shape ${kind}`, viewBox: "0 0 12 12", width: 11, height: 11, "aria-hidden": "true", focusable: "false" },
      drawing("path", { d: path })),
    element("span", null, word));
}

export function decisionMark(search, row) {
  const word = search.columns.get("decision", row);
  return word ? mark(word) : null;
}

// A run by its name, to open it.
export function runLink(context, row, most = 40) {
  if (row === null || row === undefined || row < 0) return element("span", { class: "quiet" }, "not here");
  const { search, state } = context;
  return element("button", { type: "button", class: "link name", on: { click: () => state.open(row) } },
    foreign(search.name(row), most));
}

export function authorName(text) {
  return clean(text || "").replace(/\s*<[^<>]*>\s*$/, "");
}

// `0.7943 ± 0.0023`.
export function meanText(trial) {
  if (!trial || trial.mean === null || trial.mean === undefined || Number.isNaN(trial.mean)) return "";
  return trial.sd ? `${formatMean(trial.mean, trial.sd)} ± ${formatSd(trial.sd)}` : formatNumber(trial.mean);
}

// A difference: coloured and with an arrow only where the verdict is shown.
export function difference(verdict, direction) {
  if (!verdict || verdict.difference === null || verdict.difference === undefined) return element("span", { class: "quiet" }, "");
  const value = verdict.difference;
  const isTold = verdict.shown && (verdict.answer === "better" || verdict.answer === "worse");
  const shown = formatSigned(value, verdict.half);
  const said = clean(verdictWords(verdict));
  const doubt = ["broken", "unknown"].find((state) => verdict.guards?.some((guard) => guard.state === state));
  if (doubt) return element("span", { class: "change", title: said }, element("span", { class: "quiet" }, shown, " "), element("span", { class: `guard ${doubt === "broken" ? "bad" : "quiet"}` }, `guard ${doubt}`));
  if (!isTold || !direction) return element("span", { class: "change quiet", title: said }, shown);
  const isBetter = verdict.answer === "better";
  return element("span", { class: `change ${isBetter ? "good" : "bad"}`, title: said },
    element("span", { "aria-hidden": "true" }, isBetter ? "▲ " : "▼ "),
    element("span", { class: "hidden" }, isBetter ? "better " : "worse "), shown);
}

// The project's guards for a run, those that are kept included.
export function guardLines(guards) {
  if (!guards.length) return null;
  const broken = guards.some((guard) => guard.state === "broken");
  return element("p", { class: broken ? "notice" : "said" }, `Guards: ${guards.map(guardWords).join("; ")}`);
}

export function arrow(direction) {
  return direction === "maximize" ? " ↑" : direction === "minimize" ? " ↓" : "";
}

export function directionWords(direction) {
  return direction ? `${direction === "maximize" ? "higher" : "lower"} is better` : "which way is better is not known";
}

// A table in a region of its own, so that a wide one scrolls and the page does not.
export function table(caption, heads, rows, given) {
  const head = element("tr", null, heads.map((text) => element("th", { scope: "col", class: text.class || null }, text.text ?? text)));
  const body = rows.map((cells) => element("tr", null, cells.map((cell, n) => {
    const kind = heads[n]?.class || null;
    return element(n === 0 && given?.rowHeads ? "th" : "td", { class: kind, scope: n === 0 && given?.rowHeads ? "row" : null }, cell);
  })));
  return element("div", { class: "wide", tabindex: "0", role: "region", "aria-label": caption },
    element("table", null, element("caption", { class: "hidden" }, caption), element("thead", null, head), element("tbody", null, body)));
}

// A parameter's change: `lr 0.1 → 0.2`.
export function changeText(name, before, after) {
  return element("span", { class: "changed" }, foreign(name, 32), " ",
    element("span", { class: "quiet" }, `${before === null ? "none" : formatValue(before)} → `),
    element("strong", null, after === null ? "none" : foreign(formatValue(after), 40)));
}

// The parameters in which a row differs from another.
export function changesBetween(search, from, to) {
  const found = [];
  for (const name of search.columns.ofKind("params")) {
    const [before, after] = [search.columns.get(name, from), search.columns.get(name, to)];
    if (before !== after && !isSeedName(name)) found.push([name.slice(7), before, after]);
  }
  return found;
}

export function isSeedName(name) {
  return /(?:^|[._-])(?:seed|random_state)s?$/i.test(name);
}

// A button for what is on or off in the address.
export function toggle(state, name, label) {
  return element("button", { type: "button", class: "button", "aria-pressed": String(state.has(name)), on: { click: () => state.flip(name) } }, label);
}

export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    notify(`Copied ${what}`);
  } catch {
    const dialog = element("dialog", { class: "dialog", "aria-label": `Copy ${what}` },
      element("p", null, `Copy ${what} from here:`),
      element("textarea", { class: "mono", spellcheck: "false", "aria-label": what }),
      button("Close", () => dialog.close()));
    dialog.querySelector("textarea").value = text;
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
    dialog.querySelector("textarea").select();
  }
}

export function notify(text) {
  const place = document.getElementById("note");
  place.textContent = clean(text);
  place.classList.add("on");
  announce(text);
  clearTimeout(notify.timer);
  notify.timer = setTimeout(() => place.classList.remove("on"), 2500);
}

// An argument as a POSIX shell takes it.
export function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`;
}

export function commandLine(text) {
  return element("div", { class: "command" }, element("code", { tabindex: "0" }, clean(text)),
    button("Copy", () => copy(text, "the command")));
}

// A dialog with a title; what is given is inside.
export function openDialog(title, ...inside) {
  const dialog = element("dialog", { class: "dialog", "aria-label": title },
    element("div", { class: "top" }, element("h2", null, title), button("Close", () => dialog.close())), ...inside);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
