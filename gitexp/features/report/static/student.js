// Student's t distribution, as `core/analysis/student_t.py` has it.

const NORMAL_FROM = 1e5;

function logGamma(x) {
  const parts = [
    676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
    12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
  ];
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
  const t = x + 6.5;
  const sum = parts.reduce((total, part, n) => total + part / (x + n), 0.99999999999980993);
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

// The continued fraction of the incomplete beta function, https://dlmf.nist.gov/8.17.E22.
function fraction(x, a, b) {
  let c = 1;
  let d = 1 / (1 - ((a + b) * x) / (a + 1));
  let value = d;
  for (let m = 1; m < 1000; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    for (const term of [even, odd]) {
      d = 1 / (1 + term * d);
      c = 1 + term / c;
      value *= c * d;
    }
    if (Math.abs(c * d - 1) < 1e-15) break;
  }
  return value;
}

function beta(x, y, a, b) {
  if (x <= 0 || y <= 0) return x <= 0 ? 0 : 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - beta(y, x, b, a);
  const log = logGamma(a) + logGamma(b) - logGamma(a + b);
  return (Math.exp(a * Math.log(x) + b * Math.log(y) - log) / a) * fraction(x, a, b);
}

// The same for the normal distribution: a series near 0, else a continued fraction,
// https://dlmf.nist.gov/7.6.E2 and https://dlmf.nist.gov/7.9.E1.
function normalTail(t) {
  const density = Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI);
  let sum = t;
  if (t < 2) {
    for (let n = 1, term = t; n < 60; n++) sum += term *= (t * t) / (2 * n + 1);
    return 0.5 - density * sum;
  }
  for (let n = 200; n > 0; n--) sum = t + n / sum;
  return density / sum;
}

// The probability that a t variable exceeds t, for t >= 0.
export function tTail(t, dof) {
  if (dof > NORMAL_FROM) return normalTail(t);
  const x = dof / (dof + t * t);
  return beta(x, (t * t) / (dof + t * t), dof / 2, 0.5) / 2;
}

const known = new Map();

// The t that a t variable exceeds with this probability.
export function tQuantile(tail, dof) {
  const key = `${tail} ${dof}`;
  if (known.has(key)) return known.get(key);
  let low = 0, high = 1;
  while (tTail(high, dof) > tail) [low, high] = [high, 2 * high];
  for (let n = 0; n < 80; n++) {
    const middle = (low + high) / 2;
    if (tTail(middle, dof) > tail) low = middle;
    else high = middle;
  }
  known.set(key, high);
  return high;
}
