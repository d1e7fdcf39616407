// The search that the page is about: its runs, trials, metrics, and what is derived from them.

import { groupOf, judge } from "./judge.js";
import { Columns } from "./load.js";

const ENDED = new Set(["succeeded", "failed", "timed out"]);
const POOLED = 30;
const RECENT = 300;
const MACHINE = ["env.host", "env.cpu", "env.gpus"];

export class Search {
  constructor(payload) {
    this.payload = payload;
    this.columns = new Columns(payload);
    this.n = payload.n;
    this.known = new Set(payload.keys);
    this.metrics = payload.metrics;
    this.views = payload.views || [];
    this.trialOf = this.columns.values("trial");
    this.trials = new Map();
    this.trialOf.forEach((trial, row) => {
      if (!this.trials.has(trial)) this.trials.set(trial, []);
      this.trials.get(trial).push(row);
    });
    this.groups = new Map();
    this.recent = new Map();
    this.year = new Date(payload.made).getUTCFullYear();
    this.shortIds = shortIds(this.columns.ids);
    this.rowOfId = new Map(this.columns.ids.map((id, row) => [id, row]));
  }

  // What is known of a metric; for one without a standing, what a verdict needs.
  metric(name) {
    const found = this.metrics.find((metric) => metric.name === name);
    const { directions, rules = {}, timelike = [] } = this.payload;
    return found || { name, direction: directions[name] || null, rule: rules[name] || null, timelike: timelike.includes(name), best: null };
  }

  name(row) {
    return this.columns.get("name", row);
  }

  outcome(row) {
    return this.columns.get("outcome", row);
  }

  value(name, row) {
    const value = this.columns.get(`metrics.${name}`, row);
    if (typeof value === "bigint") return Number(value);
    if (value === "Infinity" || value === "-Infinity") return Number(value);
    return typeof value === "number" ? value : null;
  }

  // A number that counts: of a run that succeeded.
  counted(name, row) {
    const value = this.value(name, row);
    return value !== null && Number.isFinite(value) && this.outcome(row) === "succeeded" ? value : null;
  }

  // The group of a trial by a metric; null when no run of it ended.
  group(name, trial) {
    const key = `${name}\n${trial}`;
    if (!this.groups.has(key)) this.groups.set(key, this.makeGroup(name, trial));
    return this.groups.get(key);
  }

  makeGroup(name, trial) {
    const { columns } = this;
    const rows = (this.trials.get(trial) || []).filter((row) => ENDED.has(this.outcome(row)));
    if (!rows.length) return null;
    return groupOf(
      rows.map((row) => ({
        row,
        run: columns.ids[row],
        clock: columns.get("clock", row),
        value: this.counted(name, row),
        group: trial,
        cell: columns.get("fingerprint", row) || columns.ids[row],
        seeds: columns.get("seeds", row) || "",
        batch: columns.get("batch", row),
        round: columns.get("round", row),
      }))
    );
  }

  // The newest groups of a metric with repeats, by family.
  repeated(name) {
    if (this.recent.has(name)) return this.recent.get(name);
    const trials = new Set();
    let runs = 0;
    for (let row = this.n - 1; row >= 0 && runs < RECENT; row--) {
      if (this.counted(name, row) === null) continue;
      runs++;
      trials.add(this.trialOf[row]);
    }
    const groups = [...trials].map((trial) => ({ trial, group: this.group(name, trial) }));
    const found = groups.filter(({ group }) => group && group.sample.length > 1);
    this.recent.set(name, found);
    return found;
  }

  familySamples(name, trial, other) {
    const { columns } = this;
    const newest = (key) => this.group(name, key)?.measurements.at(-1).row;
    const family = columns.get("family", newest(trial));
    const machine = (key) => MACHINE.map((column) => columns.get(column, newest(key))).join("\n");
    const isMachine = this.metric(name).timelike;
    return this.repeated(name)
      .filter(({ trial: key }) => key !== trial && key !== other && columns.get("family", newest(key)) === family)
      .filter(({ trial: key }) => !isMachine || machine(key) === machine(trial))
      .slice(0, POOLED)
      .map(({ group }) => group.sample);
  }

  // The verdict on the trial of one row against that of another.
  compare(name, row, other, share = 1) {
    const [a, b] = [this.trialOf[row], this.trialOf[other]];
    const others = a === b ? [] : this.familySamples(name, a, b);
    return judge(this.metric(name), this.group(name, a), this.group(name, b), others, share);
  }

  patch(from, to) {
    const trees = [from, to].map((row) => this.columns.get("tree", row));
    return { same: trees[0] === trees[1], text: this.payload.patches[trees.join(" ")] };
  }
}

// The first letters of each id that tell it from all others, at least seven.
function shortIds(ids) {
  const sorted = [...ids].sort();
  const shared = (a, b) => {
    let n = 0;
    while (a && b && n < a.length && a[n] === b[n]) n++;
    return n;
  };
  const lengths = new Map(
    sorted.map((id, n) => [id, Math.max(7, shared(id, sorted[n - 1]) + 1, shared(id, sorted[n + 1]) + 1)])
  );
  return ids.map((id) => id.slice(0, lengths.get(id)));
}
