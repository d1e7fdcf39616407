// One trial against another: the rules of `core/analysis`, for pairs that the reader picks.
//
// A sample is what one group measured: a number for each seed, or for each run without seeds.

import { clean } from "./elements.js";
import { formatNumber, formatSigned } from "./numbers.js";
import { tQuantile } from "./student.js";

const PRIOR = 4;
const OUTLIER = 30;
const LEVEL = 0.025;
const MIN_PAIRS = 5;
const ROUNDING = 1e-12;
const MACHINE_EFFECT = 0.05;

export const mean = (sample) => (sample.every((x) => x === sample[0]) ? sample[0] : sample.reduce((sum, x) => sum + x / sample.length, 0));

export function areEqual(a, b) {
  return a === b || Math.abs(a - b) <= ROUNDING * Math.max(Math.abs(a), Math.abs(b));
}

export function variance(sample) {
  if (sample.every((value) => areEqual(value, sample[0]))) return 0;
  const middle = mean(sample);
  return sample.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (sample.length - 1);
}

// The group of some measurements, oldest first: `{row, clock, value, group, cell, seeds, batch, round}`.
export function groupOf(measurements) {
  const sample = sampleOf(measurements);
  const counted = measurements.filter((m) => m.value !== null);
  return { measurements, sample, mean: sample.length ? mean(sample) : NaN, runs: sample.length, newest: counted.at(-1),
    sd: sample.length > 1 ? Math.sqrt(variance(sample)) : null, failed: measurements.length - counted.length };
}

function sampleOf(measurements) {
  const cells = new Map();
  for (const m of measurements) {
    if (m.value === null) continue;
    if (!cells.has(m.cell)) cells.set(m.cell, []);
    cells.get(m.cell).push(m.value);
  }
  if (cells.size > 1) return [...cells.values()].map(mean);
  const values = [...cells.values()].flat();
  const isSeeded = measurements.some((m) => m.seeds);
  return isSeeded && values.length && variance(values) === 0 ? values.slice(0, 1) : values;
}

// --- noise ------------------------------------------------------------------------------------

export function measureNoise(samples, declared = null, isMachine = false) {
  const repeated = samples.filter((s) => s.length > 1).map((s) => [...s].sort((a, b) => a - b));
  const dof = repeated.reduce((sum, s) => sum + s.length - 1, 0);
  const sd = Math.max(pooledSd(repeated, dof), halfStep(repeated));
  if (declared !== null && !(dof >= PRIOR && sd > declared)) return { basis: "declared", sd: declared, dof: Infinity };
  if (sd > 0 && !(sd > 1e-150 && sd < 1e150)) return { basis: "unknown", sd: 0, dof };
  if (sd > 0) return { basis: "measured", sd, dof };
  if (!isMachine && (dof >= 3 || repeated.some((s) => s.some(isPrecise)))) return { basis: "deterministic", sd: 0, dof };
  return { basis: "unknown", sd: 0, dof };
}

function pooledSd(samples, dof) {
  if (!dof) return 0;
  const variances = samples.map(variance);
  const ordered = [...variances].sort((a, b) => a - b);
  const half = Math.floor(ordered.length / 2);
  const middle = ordered.length > 2 ? (ordered[half] + ordered[ordered.length - half - 1]) / 2 : 0;
  const most = middle > 0 ? OUTLIER * middle : Infinity;
  const total = variances.reduce((sum, v, n) => sum + Math.min(v, most) * (samples[n].length - 1), 0);
  return Math.sqrt(total / dof);
}

function halfStep(samples) {
  let least = Infinity;
  for (const sample of samples) {
    for (let n = 1; n < sample.length; n++) {
      if (!areEqual(sample[n - 1], sample[n])) least = Math.min(least, sample[n] - sample[n - 1]);
    }
  }
  return least === Infinity ? 0 : least / 2;
}

function isPrecise(value) {
  const digits = String(Math.abs(value)).split("e")[0].replace(".", "").replace(/^0+|0+$/g, "");
  return digits.length >= 6;
}

// Samples whose noise counts for a comparison of two: those two, and others at their level.
export function comparable(others, a, b) {
  const known = others.filter((sample) => sample.length);
  const levels = [...known, a, b].map(mean);
  if (Math.min(...levels) <= 0 && Math.max(...levels) >= 0) return [...known, a, b];
  const sizes = levels.map(Math.abs);
  const [low, high] = sizes.slice(-2).sort((x, y) => x - y);
  return [...known.filter((_, n) => sizes[n] >= low / 2 && sizes[n] <= 2 * high), a, b];
}

// --- two samples ------------------------------------------------------------------------------

export const levelOf = (look) => (look < 2 ? LEVEL : look === 2 ? 0.01 : Math.min(0.005, 0.05 / look));

function standardError(a, b, noise) {
  if (noise.basis === "declared") return { error: noise.sd * Math.sqrt(1 / a.length + 1 / b.length), dof: Infinity };
  const prior = Math.min(noise.dof, PRIOR);
  const pooled = [a, b].reduce((sum, s) => sum + noise.sd ** 2 * (prior / (prior + s.length - 1) / s.length), 0);
  const parts = [[pooled, prior]];
  for (const s of [a, b]) {
    const own = s.length - 1;
    if (own) parts.push([((variance(s) * own) / (prior + own)) / s.length, own]);
  }
  const total = parts.reduce((sum, [part]) => sum + part, 0);
  if (!Number.isFinite(total)) return { error: Infinity, dof: 1 };
  const dof = 1 / parts.reduce((sum, [part, n]) => sum + (part / total) ** 2 / n, 0);
  return { error: Math.sqrt(total), dof: Math.max(1, Math.min(dof, noise.dof, prior + a.length + b.length - 2)) };
}

function isPairingWorthwhile(apart, a, b) {
  if (!apart.length || a.length < 2 || b.length < 2) return false;
  return variance(apart) < (variance(a) + variance(b)) / 3;
}

// `sign` is 1 where more is better, -1 where less is.
export function compareSamples(a, b, noise, { sign = 1, minEffect = 0, look = 1, share = 1, pairs = [] } = {}) {
  let difference = areEqual(mean(a), mean(b)) ? 0 : mean(a) - mean(b);
  if (noise.basis !== "measured" && noise.basis !== "declared") {
    const same = !difference || Math.abs(difference) < minEffect;
    const answer = same ? "same" : difference * sign > 0 ? "better" : "worse";
    return { answer, basis: noise.basis, shown: noise.basis === "deterministic", difference, half: null };
  }
  let level = levelOf(look) * share;
  let basis = noise.basis;
  let { error, dof } = standardError(a, b, noise);
  const apart = pairs.map(([ours, theirs]) => ours - theirs);
  if (basis === "measured" && isPairingWorthwhile(apart, a, b)) {
    [basis, level, difference] = ["paired", 0.8 * level, mean(apart)];
    [error, dof] = [Math.sqrt(variance(apart) / apart.length), apart.length - 1];
  }
  const half = tQuantile(level, dof) * error;
  const gain = difference * sign;
  const shown = (gain > half || gain < -half) && Math.abs(gain) >= minEffect;
  let answer = "unknown";
  if (shown) answer = gain > 0 ? "better" : "worse";
  else if (gain > half || gain < -half || Math.abs(gain) + half <= (minEffect || 2 * noise.sd)) answer = "same";
  return { answer, basis, shown, difference, half: Number.isFinite(half) ? half : null };
}

// --- groups -----------------------------------------------------------------------------------

function meansBy(group, keyOf) {
  const found = new Map();
  for (const m of group.measurements) {
    const key = keyOf(m);
    if (key === null || m.value === null) continue;
    if (!found.has(key)) found.set(key, []);
    found.get(key).push(m.value);
  }
  return new Map([...found].map(([key, values]) => [key, mean(values)]));
}

const turnOf = (m) => (m.batch === null || m.round === null ? null : `${m.batch} ${m.round}`);
const seedOf = (m) => m.seeds || null;

function pairsBy(keyOf, a, b) {
  const [ours, theirs] = [meansBy(a, keyOf), meansBy(b, keyOf)];
  return [...ours.keys()].filter((key) => theirs.has(key)).map((key) => [ours.get(key), theirs.get(key)]);
}

function pairsOf(a, b) {
  for (const keyOf of [turnOf, seedOf]) {
    const pairs = pairsBy(keyOf, a, b);
    const fewest = Math.min(a.sample.length, b.sample.length);
    if (pairs.length >= MIN_PAIRS && pairs.length === fewest) return pairs;
  }
  return [];
}

function tookTurns(a, b) {
  const shared = pairsBy(turnOf, a, b).length;
  return [a, b].every((group) => 2 * shared > group.measurements.length - group.failed);
}

function countLooks(a, b) {
  const key = a.measurements[0].group;
  const counted = [...a.measurements, ...b.measurements]
    .filter((m) => m.value !== null)
    .sort((x, y) => x.clock - y.clock || (x.run < y.run ? -1 : 1));
  const ours = counted.filter((m) => m.group === key);
  const theirs = counted.filter((m) => m.group !== key);
  if (!ours.length || !theirs.length) return 1;
  const since = Math.max(ours[0].clock, theirs[0].clock);
  const occasion = (m) => m.batch || m.run;
  const later = counted.filter((m) => m.clock >= since);
  const isSingle = counted.filter((m) => occasion(m) === occasion(later[0])).length === 1;
  return Math.max(1, new Set(later.map(occasion)).size - (isSingle ? 1 : 0));
}

function smallestEffect(metric, old, isMachine, inTurns) {
  const { absolute, relative } = metric.rule || {};
  if (absolute !== null && absolute !== undefined) return Math.max(absolute, (relative || 0) * Math.abs(old));
  return isMachine && !inTurns ? MACHINE_EFFECT * Math.abs(old) : 0;
}

export const missing = (why, answer = "unknown", difference = null) => ({ answer, basis: "missing", shown: false, difference, why });

// The verdict on one metric of two groups. `others` are samples of the same family. `share` is what
// one of several metrics gets of the level.
export function judge(metric, a, b, others, share = 1) {
  if (!a?.sample.length || !b?.sample.length) return missing("not measured by both");
  if (a.measurements[0].group === b.measurements[0].group) return missing("the same trial", "same", 0);
  const isMachine = Boolean(metric.timelike);
  const inTurns = isMachine && tookTurns(a, b);
  const noise = measureNoise(comparable(others, a.sample, b.sample), metric.rule?.noise ?? null, isMachine);
  const found = compareSamples(a.sample, b.sample, noise, {
    sign: signOf(metric),
    minEffect: smallestEffect(metric, b.mean, isMachine, inTurns),
    look: countLooks(a, b),
    share,
    pairs: pairsOf(a, b),
  });
  const told = { ...found, runs: [a.runs, b.runs] };
  const failedMore = a.failed / a.measurements.length > b.failed / b.measurements.length;
  const cannot = (told.answer === "better" || told.answer === "worse") && !metric.direction;
  if (cannot || (told.answer === "better" && failedMore)) return { ...told, answer: "unknown", shown: false };
  return told;
}

const signOf = (metric) => (metric.direction === "minimize" ? -1 : 1);

// --- guards -----------------------------------------------------------------------------------

// The best of some groups that was kept, else the best of all: what guards compare with.
export function guardReference(metric, groups, isKept) {
  const sign = signOf(metric);
  const declared = metric.rule?.noise ?? null;
  const samples = groups.map((group) => group.sample);
  const noise = measureNoise(samples, declared, metric.timelike);
  const score = (group) => group.mean * sign - noise.sd / Math.sqrt(group.sample.length);
  const ordered = [...groups].sort((x, y) => score(y) - score(x));
  const [leader] = ordered;
  const isWorse = ({ sample, mean: own }) => {
    const rest = samples.filter((other) => other !== sample && other !== leader.sample);
    const local = measureNoise(comparable(rest, sample, leader.sample), declared);
    if (local.basis === "unknown") return (leader.mean - own) * sign > 0 && !areEqual(leader.mean, own);
    return compareSamples(sample, leader.sample, local, { sign }).answer === "worse";
  };
  const good = ordered.filter(isKept);
  const mayLead = noise.sd ? good.find((group) => group === leader || !isWorse(group)) : null;
  return mayLead ?? good[0] ?? leader;
}

// The guards on one metric of a group, from its verdict against the reference, if there is one.
// `lacks` says why the reference is not known.
export function judgeGuards(metric, own, reference, verdict, lacks) {
  const { guard, least, most } = metric.rule;
  const mean = own?.sample.length ? own.mean : null;
  const found = [];
  if (guard && (reference || lacks)) {
    const [absolute, relative] = guard;
    const { difference } = verdict;
    const why = lacks || (difference === null ? verdict.why : metric.direction ? "" : "which way is better is not known");
    const allowed = Math.max(absolute, relative * Math.abs(reference?.mean));
    found.push({ metric: metric.name, why, state: why ? "unknown" : lossState(verdict, signOf(metric), allowed),
      bound: `guard ${relative ? `${formatNumber(relative * 100)} %` : formatNumber(absolute)}`, difference, relative: reference?.mean ? difference / Math.abs(reference.mean) : null });
  }
  for (const [bound, sign, words] of [[least, 1, "at least"], [most, -1, "at most"]]) {
    if (typeof bound !== "number") continue;
    const state = mean === null ? "unknown" : (mean - bound) * sign < 0 ? "broken" : "kept";
    found.push({ metric: metric.name, state, bound: `${words} ${formatNumber(bound)}`, difference: null, value: mean, why: verdict.why });
  }
  return found;
}

function lossState({ difference, half, basis }, sign, allowed) {
  const gain = difference * sign;
  if (gain - (half || 0) >= -allowed) return "kept";
  return gain < -allowed && (basis === "unknown" || basis === "deterministic" || gain + half < 0) ? "broken" : "unknown";
}

// A verdict with the guards of the new group: a broken one makes it worse, an unknown one unknown.
export function withGuards(verdict, guards) {
  const has = (state) => guards.some((guard) => guard.state === state);
  const doubtful = has("unknown") && verdict.answer !== "worse" ? "unknown" : verdict.answer;
  return { ...verdict, guards, measured: verdict.answer, answer: has("broken") ? "worse" : doubtful };
}

// What is said of a verdict, short, with the guards that are not kept.
export function verdictWords(verdict) {
  const broken = (verdict.guards || []).filter((guard) => guard.state !== "kept").map(guardWords);
  return [verdict.words || ownWords(verdict), ...broken].join(", but ");
}

function ownWords({ answer, measured, shown, basis, runs, why }) {
  const said = measured || answer;
  if (basis === "missing") return why;
  const counts = runs ? `; ${runs[0]} and ${runs[1]} runs` : "";
  if (basis === "unknown") return `${said === "same" ? "equal" : said} by the numbers, noise unknown${counts}`;
  if (said === "unknown") return `cannot tell${counts}`;
  if (said === "same") return `no difference shown${counts}`;
  return `${said}${shown ? "" : ", not shown"}${counts}`;
}

// A guard: `loss5 +48.8 %, guard 2 %: broken`.
export function guardWords({ metric, state, bound, difference, relative, value, why }) {
  const change = relative ? `${formatSigned(relative * 100)} %, ` : difference ? `${formatSigned(difference)}, ` : typeof value === "number" ? `${formatNumber(value)}, ` : "";
  return `${clean(metric)} ${change}${bound}: ${state === "unknown" ? `cannot tell${why ? ` (${why})` : ""}` : state}`;
}
