// The data of the page: unpacked, and each column turned into values when it is first asked for.

import { hooks } from "./elements.js";

const WORDS = { metrics: "metric", params: "param", env: "environment", data: "data" };

async function unpack(text) {
  const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

export async function readPayload() {
  if (hooks.read) return hooks.read();
  const place = document.getElementById("payload");
  const payload = await unpack(place.textContent.trim());
  place.textContent = "";
  return payload;
}

function whole(value) {
  return value !== null && typeof value === "object" && "$i" in value ? BigInt(value.$i) : value;
}

function decode(column, n) {
  let values;
  if (column.codes) {
    const words = column.dict.map(whole);
    values = column.codes.map((code) => (code < 0 ? null : words[code]));
  } else if (column.time) {
    let now = 0;
    values = column.time.map((distance) => (now += distance));
  } else {
    values = (column.num || column.raw || column.ref).map(whole);
  }
  if (!column.at) return values;
  const spread = new Array(n).fill(null);
  column.at.forEach((row, place) => (spread[row] = values[place]));
  return spread;
}

// A moment in microseconds as Python writes it.
export function isoText(us) {
  const ms = Math.floor(us / 1000);
  const rest = us - Math.floor(us / 1e6) * 1e6;
  const text = new Date(ms).toISOString().slice(0, 19);
  return `${text}${rest ? `.${String(rest).padStart(6, "0")}` : ""}+00:00`;
}

// Columns over runs; rows are numbered from the oldest.
export class Columns {
  constructor(payload) {
    this.n = payload.n;
    this.packed = payload.columns;
    this.ready = new Map();
    this.names = Object.keys(payload.columns);
    this.ids = this.values("id");
  }

  has(name) {
    return Object.hasOwn(this.packed, name);
  }

  // The values of a column by row; null where there is none.
  values(name) {
    if (!this.ready.has(name)) {
      this.ready.set(name, this.has(name) ? decode(this.packed[name], this.n) : new Array(this.n).fill(null));
    }
    return this.ready.get(name);
  }

  get(name, row) {
    return this.values(name)[row];
  }

  // The value as filters see it: other runs by their ids, moments as text.
  asked(name, row) {
    const value = this.get(name, row);
    if (value === null || value === undefined) return null;
    if (name === "started") return isoText(value);
    const isReference = name === "parent" || name === "reproduces";
    return isReference && typeof value === "number" ? this.ids[value] : value;
  }

  startedMs(row) {
    return this.get("started", row) / 1000;
  }

  ofKind(kind) {
    return this.names.filter((name) => name.startsWith(`${kind}.`));
  }
}

// `val.loss` of `metrics.val.loss`.
export function shortName(name) {
  const kind = name.slice(0, name.indexOf("."));
  return Object.hasOwn(WORDS, kind) ? name.slice(kind.length + 1) : name.replaceAll("_", " ");
}

export function kindOf(name) {
  const kind = name.slice(0, name.indexOf("."));
  return Object.hasOwn(WORDS, kind) ? WORDS[kind] : "";
}
