// The lines of a chart: one a run, or one for the repeats of a trial with a band; smoothed on demand.

// The runs that have a line of their own: of repeats that succeeded the first one stands for all.
export function rowsWithLines(search, rows, isFolded) {
  const seen = new Set();
  return rows.filter((row) => {
    if (!isFolded || search.outcome(row) !== "succeeded") return true;
    const isNew = !seen.has(search.trialOf[row]);
    seen.add(search.trialOf[row]);
    return isNew;
  });
}

// The repeats whose curves make up the line of a run: those that succeeded.
export function membersOf(search, row, name, isFolded) {
  const has = (one) => Boolean(search.payload.series[one]?.[name]);
  if (!isFolded || search.outcome(row) !== "succeeded") return has(row) ? [row] : [];
  return search.trials.get(search.trialOf[row]).filter((one) => search.outcome(one) === "succeeded" && has(one));
}

// `{row, n, count, end, x, y, low, high, raw}` for each run; `n` is its number in the legend, `end` its
// last value if that is no finite number.
export function chartLines(search, rows, name, { byTime, isFolded, weight }) {
  return rows.map((row, n) => {
    const curves = membersOf(search, row, name, isFolded).map((one) => search.payload.series[one][name]).filter((curve) => !byTime || curve.t);
    if (!curves.length) return null;
    const parts = curves.map((curve) => pointsInOrder(byTime ? curve.t : curve.x, curve.y));
    const line = { row, n, count: parts.length, end: curves.find((curve) => curve.end)?.end, ...(parts.length > 1 ? meanLine(parts) : { x: parts[0][0], y: parts[0][1] }) };
    if (!weight) return line;
    const even = (values) => values && smooth(values, weight);
    return { ...line, raw: line.y, y: even(line.y), low: even(line.low), high: even(line.high) };
  }).filter((line) => line && line.x.length);
}

export function pointsInOrder(x, y) {
  if (x.every((value, n) => !n || value > x[n - 1])) return [x, y];
  const order = x.map((_, n) => n).sort((a, b) => x[a] - x[b] || a - b);
  const kept = order.filter((n, place) => place === order.length - 1 || x[n] !== x[order[place + 1]]);
  return [kept.map((n) => x[n]), kept.map((n) => y[n])];
}

// Mean and one standard deviation to both sides, where all of the curves have points.
export function meanLine(parts) {
  const start = Math.max(...parts.map(([x]) => x[0]));
  const end = Math.min(...parts.map(([x]) => x[x.length - 1]));
  const x = [...new Set(parts.flatMap(([places]) => places))].filter((place) => place >= start && place <= end).sort((a, b) => a - b);
  const values = parts.map((part) => valuesAt(part, x));
  const y = x.map((_, n) => values.reduce((sum, one) => sum + one[n], 0) / values.length);
  const sd = x.map((_, n) => Math.sqrt(values.reduce((sum, one) => sum + (one[n] - y[n]) ** 2, 0) / (values.length - 1)));
  return { x, y, low: y.map((value, n) => value - sd[n]), high: y.map((value, n) => value + sd[n]) };
}

// The values of a curve at other places, on the straight lines between its points.
function valuesAt([x, y], places) {
  let n = 0;
  return places.map((place) => {
    while (n < x.length - 2 && x[n + 1] < place) n++;
    const width = x[n + 1] - x[n];
    return width ? y[n] + ((place - x[n]) / width) * (y[n + 1] - y[n]) : y[n];
  });
}

// An exponential moving average that begins at the first value.
export function smooth(values, weight) {
  let [sum, whole] = [0, 0];
  return values.map((value) => {
    sum = weight * sum + (1 - weight) * value;
    whole = weight * whole + 1 - weight;
    return sum / whole;
  });
}
