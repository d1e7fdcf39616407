// Numbers, times and values as people read them.

import { clean } from "./elements.js";

const MINUS = "−";
const THIN = "\u2009";

// A number with `digits` significant digits.
export function formatNumber(value, digits = 5) {
  if (typeof value === "bigint") return value.toString().replace("-", MINUS);
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : `${MINUS}∞`;
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return grouped(String(value));
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e15)) return exponent(value, digits);
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(size || 1)));
  return grouped(value.toFixed(Math.min(decimals, 20)).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, ""));
}

function exponent(value, digits) {
  const [head, tail] = value.toExponential(digits - 1).split("e");
  return `${head.replace(/\.?0+$/, "")}e${Number(tail)}`.replaceAll("-", MINUS);
}

function grouped(text) {
  const [whole, rest] = text.replace("-", MINUS).split(".");
  const shown = whole.replace(/^−?/, "").length > 4 ? whole.replace(/\B(?=(\d{3})+$)/g, THIN) : whole;
  return rest === undefined ? shown : `${shown}.${rest}`;
}

// A mean with the decimals that its standard deviation leaves meaningful.
export function formatMean(mean, sd, digits = 5) {
  if (!sd || !Number.isFinite(sd)) return formatNumber(mean, digits);
  const decimals = Math.max(0, Math.min(12, 1 - Math.floor(Math.log10(sd))));
  return grouped(mean.toFixed(decimals));
}

export function formatSd(sd) {
  if (!Number.isFinite(sd)) return "?";
  if (sd === 0) return "0";
  const decimals = 1 - Math.floor(Math.log10(sd));
  return decimals > 8 ? exponent(sd, 2) : grouped(sd.toFixed(Math.max(0, decimals)));
}

export function formatSigned(value, half) {
  const shown = half ? formatMean(Math.abs(value), half) : formatNumber(Math.abs(value), 4);
  return (value > 0 ? "+" : value < 0 ? MINUS : "") + shown;
}

// A parameter or metric of any kind.
export function formatValue(value, digits = 5) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number" || typeof value === "bigint") return formatNumber(value, digits);
  return typeof value === "boolean" ? String(value) : clean(value);
}

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

// A day in UTC, with the year when it is not that of the page.
export function formatDay(ms, year) {
  const day = new Date(ms);
  const said = `${day.getUTCDate()} ${MONTHS[day.getUTCMonth()]}`;
  return day.getUTCFullYear() === year ? said : `${said} ${day.getUTCFullYear()}`;
}

export function formatTime(ms) {
  const text = new Date(ms).toISOString();
  return `${formatDay(ms)} ${text.slice(11, 16)}`;
}

export function formatSpan(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 120) return `${formatNumber(seconds, 3)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${formatNumber(seconds / 3600, 3)} h`;
}

export function count(n, noun, many = `${noun}s`) {
  return `${formatNumber(n)} ${n === 1 ? noun : many}`;
}

// Round values that cover a range, at most `most` of them.
export function ticks(low, high, most = 5) {
  if (!(high > low)) return [low];
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough);
  const found = [];
  for (let n = Math.ceil(low / step); n * step <= high * (1 + 1e-12); n++) found.push(Number((n * step).toPrecision(12)));
  return found;
}
