// The page: reads its data, follows the address, shows one view at a time, listens to keys.

import { copy, openDialog } from "./actions.js";
import { compareView } from "./compare.js";
import { curvesView } from "./curves.js";
import { announce, element, hooks, replaceChildren } from "./elements.js";
import { FilterFault, matchingRows } from "./filter.js";
import { ideasView } from "./ideas.js";
import { isDark, makeFrame, updateFrame } from "./lens.js";
import { meanLine, pointsInOrder, smooth } from "./lines.js";
import { readPayload } from "./load.js";
import { decideDialog, runView } from "./run.js";
import { runsView } from "./runs.js";
import { Search } from "./search.js";
import { spaceView } from "./space.js";
import { State } from "./state.js";
import { tQuantile } from "./student.js";
import { summaryView } from "./summary.js";

const SHOW = { summary: summaryView, runs: runsView, curves: curvesView, space: spaceView, compare: compareView, ideas: ideasView };
const GO = { s: "summary", r: "runs", c: "curves", p: "space", m: "compare", i: "ideas" };

class Page {
  constructor(payload) {
    this.search = new Search(payload);
    this.state = new State(this.search);
    if (payload.view && !location.hash) this.state.openView(payload.view, true);
    this.unfolded = new Set();
    this.openIdeas = new Set();
    this.verdicts = new Map();
    this.found = { text: null, rows: [], fault: null };
    this.leaving = [];
    this.later = [];
    this.grid = null;
    this.setTheme();
    this.frame = makeFrame(this);
    this.state.listeners.push((isStep) => this.show(isStep));
    document.addEventListener("keydown", (event) => this.press(event));
    this.show(true);
  }

  get chosen() {
    if (this.chosenText !== this.state.get("sel")) {
      this.chosenText = this.state.get("sel");
      this.chosenRows = new Set(this.state.selected);
    }
    return this.chosenRows;
  }

  // The rows that fit the filter; with a fault in it, those that fitted before.
  matching() {
    const text = this.state.get("q");
    if (text !== this.found.text) this.found = this.filter(text);
    return this.found;
  }

  filter(text) {
    const { search } = this;
    const answered = hooks.filter?.(this, text);
    if (answered) return answered;
    if (!text.trim()) return { text, rows: Array.from({ length: search.n }, (_, row) => row), fault: null };
    try {
      return { text, rows: matchingRows(text, search.columns, search.known), fault: null };
    } catch (fault) {
      if (!(fault instanceof FilterFault)) throw fault;
      const before = this.found.text === null ? this.filter("").rows : this.found.rows;
      return { text, rows: before, fault };
    }
  }

  setTheme() {
    const theme = this.state.get("t");
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  }

  afterwards(act) {
    this.later.push(act);
  }

  onLeave(act) {
    this.leaving.push(act);
  }

  repaint() {
    this.show(false);
  }

  // What the address asks for. A step begins at the top; anything else keeps its place.
  show(isStep) {
    const { state, frame } = this;
    this.setTheme();
    const isDarkNow = isDark();
    const place = `${state.get("v")} ${state.get("run")} ${state.get("m")} ${isDarkNow}`;
    const isOther = place !== this.shown;
    this.shown = place;
    for (const act of this.leaving.splice(0)) act();
    if (isOther && this.grid) {
      this.grid.end();
      this.grid = null;
    }
    if (state.get("m") !== this.judgedBy) this.verdicts.clear();
    this.judgedBy = state.get("m");
    const hadGrid = document.activeElement?.closest?.(".grid") !== null && document.activeElement?.closest?.(".grid") !== undefined;
    const scrolled = scrollY;
    updateFrame(this);
    const view = state.run === null ? SHOW[state.get("v")](this) : runView(this, state.run);
    frame.main.dataset.view = state.run === null ? state.get("v") : "run";
    replaceChildren(frame.main, element("div", { class: "view" }, view));
    for (const act of this.later.splice(0)) act();
    if (isStep && isOther) scrollTo(0, 0);
    else scrollTo(0, scrolled);
    this.giveFocus(hadGrid, isStep && isOther);
    document.documentElement.dataset.ready = "yes";
  }

  giveFocus(hadGrid, isStep) {
    if (this.focusAgain) {
      document.querySelector(`[aria-label="${CSS.escape(this.focusAgain)}"]`)?.focus();
      this.focusAgain = null;
    } else if (hadGrid && this.grid) this.grid.scroller.focus({ preventScroll: true });
    else if (isStep && this.shownOnce) {
      if (this.state.run === null && this.state.get("v") === "runs" && this.grid) this.grid.scroller.focus({ preventScroll: true });
      else this.frame.main.focus({ preventScroll: true });
    }
    this.shownOnce = true;
  }

  // --- keys -----------------------------------------------------------------------------------

  press(event) {
    const { state } = this;
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest?.("input:not([type=checkbox]), select, textarea")) return;
    if (event.key === "Escape") return this.goBack();
    if (!state.has("keys") && event.key !== "?") return;
    const act = this.keyAct(event.key);
    if (!act) return;
    event.preventDefault();
    act();
  }

  keyAct(key) {
    const { state } = this;
    if (this.going) {
      this.going = false;
      return key in GO ? () => state.set({ v: GO[key], run: "" }) : null;
    }
    const row = state.run ?? this.grid?.item?.row ?? null;
    const acts = {
      g: () => this.waitForView(), "/": () => this.frame.parts.filter.focus(), "?": () => this.showKeys(), c: () => state.set({ v: "compare", run: "" }),
      y: () => copy(location.href, "the link"), f: () => state.flip("fold"), x: () => state.flip("diff"), j: () => this.move(1), k: () => this.move(-1),
      o: row === null ? null : () => state.open(row), b: row === null ? null : () => state.pin(row), d: row === null ? null : () => decideDialog(this, row),
    };
    Object.assign(acts, hooks.keys?.(this, row));
    return Object.hasOwn(acts, key) ? acts[key] : null;
  }

  waitForView() {
    this.going = true;
    setTimeout(() => (this.going = false), 1500);
  }

  move(by) {
    const { state } = this;
    if (state.run !== null) {
      const rows = this.matching().rows;
      const next = rows[rows.indexOf(state.run) + by];
      if (next !== undefined) state.open(next);
    } else if (this.grid) this.grid.move(this.grid.cursor + by);
  }

  goBack() {
    const { state } = this;
    if (state.run !== null) state.set({ run: "" });
    else if (state.get("sel")) state.set({ sel: "" });
  }

  showKeys() {
    const { state } = this;
    const keys = [["j k ↑ ↓", "row; on the run page the next run"], ["Enter, o", "open the run"], ["Space", "select; Shift-click a range"], ["→ ←", "unfold, fold repeats"], ["/", "filter; Esc clears it"],
      ["g then s r c p m i", "views"], ["c", "compare the selection"], ["b", "pin as baseline"], ["d", "decide"], ...(hooks.keyHelp || []), ["f x", "fold repeats; only what differs"], ["y", "copy the link"], ["Esc", "back, clear the selection"], ["↑ ↓ ← → Del on an axis", "narrow, widen, undo a range"]];
    const box = element("input", { type: "checkbox", on: { change: () => state.set({ keys: box.checked ? "1" : "0" }) } });
    box.checked = state.has("keys");
    openDialog("Keys", element("dl", { class: "keys" }, keys.map(([key, does]) => element("div", null, element("dt", null, element("kbd", null, key)), element("dd", null, does)))), element("label", { class: "choice" }, box, "single letters are keys"));
  }
}

async function begin() {
  const place = document.getElementById("page");
  if (typeof DecompressionStream === "undefined") {
    place.append(element("p", { class: "notice" }, "This browser is too old for this page: it needs DecompressionStream, as browsers since 2023 have it."));
    return;
  }
  const page = new Page(await readPayload());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => page.repaint());
  globalThis.gitexp = { page, matchingRows, tQuantile, lines: { meanLine, smooth, pointsInOrder } };
  hooks.begin?.(page);
  announce("ready");
}

begin();
