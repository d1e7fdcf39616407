// The search that the page is about: its runs, trials, metrics, and what is derived from them.

import { clean } from "./elements.js";
import { groupOf, guardReference, judge, judgeGuards, missing, withGuards } from "./judge.js";
import { Columns } from "./load.js";

const ENDED = new Set(["succeeded", "failed", "timed out"]);
const POOLED = 30;
const RECENT = 300;
const OUTSIDE = "runs that count are not in this page; ask git exp compare";
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
    this.guards = new Map();
    this.references = new Map();
    this.partial = new Set((payload.outside?.rows || []).map((row) => this.trialOf[row]));
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
        cell: columns.get("cell", row) ?? (columns.get("fingerprint", row) || columns.ids[row]),
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
    const newest = (key) => this.group(name, key)?.newest?.row;
    const family = columns.get("family", newest(trial));
    const machine = (key) => MACHINE.map((column) => columns.get(column, newest(key))).join("\n");
    const isMachine = this.metric(name).timelike;
    return this.repeated(name)
      .filter(({ trial: key }) => key !== trial && key !== other && columns.get("family", newest(key)) === family)
      .filter(({ trial: key }) => !isMachine || machine(key) === machine(trial))
      .slice(0, POOLED)
      .map(({ group }) => group.sample);
  }

  // Why this page cannot judge trials as `git exp compare` does: it lacks runs that count.
  lack(name, a, b) {
    const { outside } = this.payload;
    if (!outside || a === b) return null;
    const families = outside.noise[name];
    const family = this.columns.get("family", this.trials.get(a)[0]);
    const isLacking = this.partial.has(a) || this.partial.has(b) || !families || families.includes(family);
    return isLacking ? `not judged here: ${OUTSIDE}` : null;
  }

  // The verdict on the trial of one row against that of another.
  compare(name, row, other, share = 1) {
    return this.compareTrials(name, this.trialOf[row], this.trialOf[other], share);
  }

  compareTrials(name, a, b, share = 1) {
    const [own, reference] = [this.group(name, a), this.group(name, b)];
    const why = this.lack(name, a, b);
    if (why) return missing(why, "unknown", own?.sample.length && reference?.sample.length ? own.mean - reference.mean : null);
    const verdict = judge(this.metric(name), own, reference, a === b ? [] : this.familySamples(name, a, b), share);
    if (verdict.basis === "missing") return verdict;
    const [unit, other] = [own, reference].map(({ newest }) => this.columns.get(`units.${name}`, newest.row) || "no unit");
    return unit === other ? verdict : { ...missing(clean(`cannot compare ${unit} with ${other}`)), runs: verdict.runs };
  }

  // The same by the metric that decides, with the guards of the first.
  decide(name, row, other) {
    return withGuards(this.compare(name, row, other), this.guardsOf(name, row));
  }

  // The project's guards for a run that counts, where `main` decides.
  guardsOf(main, row) {
    const { columns, payload } = this;
    if (this.outcome(row) !== "succeeded" || columns.get("reproduces", row) !== null) return [];
    const key = `${main}\n${row}`;
    if (!this.guards.has(key)) this.guards.set(key, this.judgeGuardsOf(main, row));
    return this.guards.get(key);
  }

  judgeGuardsOf(main, row) {
    const { columns, payload } = this;
    const trial = this.trialOf[row];
    const checks = columns.get("checks", row);
    const found = checks ? [{ metric: "checks", state: checks === "succeeded" ? "kept" : "broken", bound: checks }] : [];
    const isRanked = this.metric(main).eligible?.some(([one]) => this.trialOf[one] === trial);
    const at = `${main}\n${isRanked ? trial : ""}`;
    if (!this.references.has(at)) this.references.set(at, this.guardReference(main, trial));
    const { reference, why } = this.references.get(at);
    for (const { name, metrics } of payload.guarded) {
      const metric = this.metric(metrics.find((one) => columns.get(`metrics.${one}`, row) !== null) ?? name);
      const [own, other] = [trial, reference].map((key) => (key ? this.group(metric.name, key) : null));
      const verdict = this.compareTrials(metric.name, trial, reference || trial);
      const lacks = this.partial.has(trial) ? OUTSIDE : null;
      found.push(...judgeGuards(metric, lacks ? null : own, other?.sample.length ? other : null, lacks ? missing(lacks) : verdict, why));
    }
    return found;
  }

  // The trial that guards compare with; or why it is not known.
  guardReference(main, trial) {
    const { direction, eligible } = this.metric(main);
    if (!direction) return {};
    if (!eligible) return { why: "the best kept trial by this metric is not in this page" };
    if (eligible.some(([row]) => row === null)) return { why: OUTSIDE };
    const keys = eligible.map(([row]) => this.trialOf[row]);
    const kept = new Set(keys.filter((_, n) => eligible[n][1]));
    const groups = keys.filter((key) => key !== trial).map((key) => this.group(main, key)).filter((group) => group?.sample.length);
    const keyOf = (group) => group.measurements[0].group;
    return groups.length ? { reference: keyOf(guardReference(this.metric(main), groups, (group) => kept.has(keyOf(group)))) } : {};
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
