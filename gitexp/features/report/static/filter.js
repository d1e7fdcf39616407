// Filters over runs, as `--where` takes them: the same texts, the same answers.
//
// A text becomes a tree, as Python's own parser would make one, and the tree a function of a row.
// What a comparison means: a value has a number, a text, or both. Two values are compared as
// numbers when both have one, else as text when both have one. A missing value makes every
// comparison false; values of different kinds are unequal and have no order.

const LIMITS = { length: 10000, depth: 16, parts: 50, conditions: 200, values: 500 };
const SPACES = ["metrics", "params", "env"];
export const ATTRIBUTES = ("id name outcome started duration_s author origin reason decision disputed commit branch " +
  "dirty fingerprint parent reproduces session source exit_code sweep").split(" ");
const MIRRORED = { "<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!=" };
const KEYWORDS = new Set(("False None True and as assert async await break class continue def del elif else except " +
  "finally for from global if import in is lambda nonlocal not or pass raise return try while with yield").split(" "));
const BIGGEST = 2n ** 63n;

export class FilterFault extends Error {
  constructor(what, at = null, hint = null) {
    super(what);
    this.at = at;
    this.hint = hint;
  }
}

// --- words ------------------------------------------------------------------------------------

const TOKEN = new RegExp(
  [
    "(?<space>[ \\t\\f\\r\\n]+)",
    "(?<comment>#.*)",
    "(?<text>[rRbBuUfFtT]{0,2}(?:'''|\"\"\"|'|\"))",
    "(?<number>0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO](?:_?[0-7])+" +
      "|(?:(?:\\d(?:_?\\d)*)?\\.\\d(?:_?\\d)*|\\d(?:_?\\d)*\\.?)(?:[eE][-+]?\\d(?:_?\\d)*)?[jJ]?)",
    "(?<name>[\\p{XID_Start}_][\\p{XID_Continue}]*)",
    "(?<sign>==|!=|<=|>=|[<>()[\\].,+\\-/])",
  ].join("|"),
  "uy"
);

function tokensOf(text) {
  const found = [];
  let at = 0;
  while (at < text.length) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (!match) throw new FilterFault("cannot read the filter here", at, signHint(text, at));
    const groups = match.groups;
    const start = at;
    at = TOKEN.lastIndex;
    if (groups.text) {
      const read = readText(text, start, groups.text);
      found.push({ kind: "text", value: read.value, at: start });
      at = read.end;
    } else if (groups.number) {
      if (/^(?!and|in|is|not|or)[\p{XID_Continue}]/u.test(text.slice(at))) throw new FilterFault("cannot read this number", start);
      found.push({ kind: "number", value: readNumber(groups.number, start), at: start });
    } else if (groups.name) {
      const name = groups.name.normalize("NFKC");
      found.push({ kind: KEYWORDS.has(name) ? "keyword" : "name", value: name, at: start });
    } else if (groups.sign) found.push({ kind: "sign", value: groups.sign, at: start });
  }
  found.push({ kind: "end", value: "", at: text.length });
  return found;
}

function signHint(text, at) {
  if (text.startsWith("&&", at) || text.startsWith("||", at)) return "write `and`, `or` instead of `&&`, `||`";
  if (text[at] === "=") return "write `==` to compare";
  return null;
}

const ESCAPES = { n: "\n", t: "\t", r: "\r", a: "\x07", b: "\b", f: "\f", v: "\v", "\\": "\\", "'": "'", '"': '"' };

function readText(text, start, opening) {
  const prefix = opening.replace(/['"]+$/, "").toLowerCase();
  const quote = opening.slice(prefix.length);
  if (/[bft]/.test(prefix)) throw new FilterFault("a value is a number, a text, True or False", start);
  if (prefix.length > 1) throw new FilterFault("cannot read this text", start);
  let value = "";
  let at = start + opening.length;
  while (at < text.length) {
    if (text.startsWith(quote, at)) return { value, end: at + quote.length };
    if (text[at] !== "\\") value += text[at++];
    else if (prefix === "r") {
      value += text.slice(at, at + 2);
      at += 2;
    } else {
      const read = readEscape(text, at);
      value += read.value;
      at = read.end;
    }
  }
  throw new FilterFault("this text has no end", start);
}

function readEscape(text, at) {
  const next = text[at + 1];
  if (Object.hasOwn(ESCAPES, next ?? "")) return { value: ESCAPES[next], end: at + 2 };
  const digits = { x: 2, u: 4, U: 8 }[next];
  if (digits) {
    const code = text.slice(at + 2, at + 2 + digits);
    const number = /^[0-9a-fA-F]+$/.test(code) && code.length === digits ? parseInt(code, 16) : Infinity;
    if (number > 0x10ffff) throw new FilterFault("cannot read this text", at);
    return { value: String.fromCodePoint(number), end: at + 2 + digits };
  }
  const octal = /^[0-7]{1,3}/.exec(text.slice(at + 1, at + 4));
  if (octal) return { value: String.fromCharCode(parseInt(octal[0], 8)), end: at + 1 + octal[0].length };
  if (next === "N") throw new FilterFault("cannot read this text", at);
  return { value: `\\${next ?? ""}`, end: at + 2 };
}

function readNumber(text, at) {
  const plain = text.replaceAll("_", "");
  if (/[jJ]$/.test(plain)) throw new FilterFault("a value is a number, a text, True or False", at);
  if (/^0[xXbBoO]/.test(plain)) return BigInt(plain.toLowerCase());
  if (/^\d+$/.test(plain)) {
    if (/^0\d*[1-9]/.test(plain)) throw new FilterFault("a number does not begin with 0", at);
    return BigInt(plain);
  }
  return Number(plain);
}

// --- text to tree -----------------------------------------------------------------------------

class Reader {
  constructor(text) {
    this.tokens = tokensOf(text);
    this.place = 0;
    this.depth = 0;
  }

  get next() {
    return this.tokens[this.place];
  }

  is(value) {
    return (this.next.kind === "sign" || this.next.kind === "keyword") && this.next.value === value;
  }

  take(value) {
    if (!this.is(value)) return false;
    this.place++;
    return true;
  }

  whole() {
    const node = this.either();
    if (this.next.kind !== "end") this.refuse();
    return node;
  }

  refuse() {
    const { kind, value, at } = this.next;
    const hint = kind === "keyword" ? `\`${value}\` is a word of Python: write \`["${value}"]\` instead of \`.${value}\`` : null;
    if (this.is("(")) throw new FilterFault("there are no functions", at, '`"text" in name` finds a part of a text');
    if (this.is("+") || this.is("-")) throw new FilterFault("there is no arithmetic", at, 'write odd names as `metrics["top-1"]`');
    throw new FilterFault(kind === "end" ? "the filter ends too early" : "cannot read the filter here", at, hint);
  }

  joined(word, kind, read) {
    const first = read();
    if (!this.is(word)) return first;
    const terms = [first];
    while (this.take(word)) terms.push(read());
    return { kind, terms, at: first.at };
  }

  either() {
    if (++this.depth > 90) throw new FilterFault("the filter is nested too deeply", this.next.at);
    const node = this.joined("or", "any", () => this.joined("and", "all", () => this.negation()));
    this.depth--;
    return node;
  }

  negation() {
    const at = this.next.at;
    if (!this.take("not")) return this.comparison();
    return { kind: "not", term: this.negation(), at };
  }

  sign() {
    for (const sign of ["==", "!=", "<=", ">=", "<", ">", "in"]) if (this.take(sign)) return sign;
    if (this.is("not") && this.tokens[this.place + 1].value === "in") {
      this.place += 2;
      return "not in";
    }
    if (!this.take("is")) return null;
    return this.take("not") ? "is not" : "is";
  }

  comparison() {
    const operands = [this.division()];
    const signs = [];
    for (let sign = this.sign(); sign; sign = this.sign()) {
      signs.push(sign);
      operands.push(this.division());
    }
    return signs.length ? { kind: "compare", operands, signs, at: operands[0].at } : operands[0];
  }

  division() {
    let node = this.signed();
    while (this.take("/")) node = { kind: "division", left: node, right: this.signed(), at: node.at };
    return node;
  }

  signed() {
    const { at, value } = this.next;
    if (!this.is("-") && !this.is("+")) return this.primary();
    this.place++;
    return { kind: "signed", sign: value, term: this.signed(), at };
  }

  primary() {
    let node = this.atom();
    for (;;) {
      if (this.take(".")) {
        if (this.next.kind !== "name") this.refuse();
        node = { kind: "attribute", of: node, name: this.tokens[this.place++].value, at: node.at };
      } else if (this.take("[")) {
        const key = this.either();
        if (!this.take("]")) this.refuse();
        node = { kind: "item", of: node, key, at: node.at };
      } else return node;
    }
  }

  atom() {
    const token = this.next;
    if (token.kind === "name") return (this.place++, { kind: "name", name: token.value, at: token.at });
    if (token.kind === "number") return (this.place++, { kind: "constant", value: token.value, at: token.at });
    if (token.kind === "text") return this.texts(token.at);
    for (const [word, value] of [["True", true], ["False", false], ["None", null]]) {
      if (this.take(word)) return { kind: "constant", value, at: token.at };
    }
    if (this.take("(")) return this.list(")", token.at);
    if (this.take("[")) return this.list("]", token.at);
    return this.refuse();
  }

  texts(at) {
    let value = "";
    while (this.next.kind === "text") value += this.tokens[this.place++].value;
    return { kind: "constant", value, at };
  }

  list(end, at) {
    const items = [];
    let commas = 0;
    while (!this.is(end)) {
      items.push(this.either());
      if (!this.take(",")) break;
      commas++;
    }
    if (!this.take(end)) this.refuse();
    if (end === ")" && items.length === 1 && !commas) return items[0];
    return { kind: "list", items, at };
  }
}

// --- tree to conditions -----------------------------------------------------------------------

class Checker {
  constructor(known, text) {
    this.known = known;
    this.text = text;
    this.conditions = 0;
    this.values = 0;
  }

  condition(node, depth = 1) {
    if (depth > LIMITS.depth) throw new FilterFault(`the filter is nested deeper than ${LIMITS.depth} levels`, node.at);
    if (node.kind === "all" || node.kind === "any") {
      return { kind: node.kind, terms: node.terms.map((term) => this.condition(term, depth + 1)) };
    }
    if (node.kind === "not") return { kind: "not", term: this.condition(node.term, depth + 1) };
    if (node.kind === "compare") {
      const pairs = node.signs.map((sign, n) => this.pair(node.operands[n], sign, node.operands[n + 1]));
      return pairs.length === 1 ? pairs[0] : { kind: "all", terms: pairs };
    }
    if (!isName(node)) throw new FilterFault("this is not a condition", node.at);
    this.count(node);
    return { kind: "truth", key: this.field(node) };
  }

  count(node) {
    if (++this.conditions > LIMITS.conditions) {
      throw new FilterFault(`the filter has more than ${LIMITS.conditions} conditions`, node.at);
    }
  }

  pair(left, sign, right) {
    this.count(left);
    const negated = sign === "not in" || sign === "!=" || sign === "is not";
    if (isNone(left) || isNone(right)) {
      if (!["==", "!=", "is", "is not"].includes(sign)) {
        throw new FilterFault("None has no order", right.at, "write `is None` or `is not None`");
      }
      const present = { kind: "present", key: this.field(isNone(right) ? left : right) };
      return negated ? present : { kind: "not", term: present };
    }
    if (sign === "in" || sign === "not in") return this.membership(left, right, negated);
    if (sign === "is" || sign === "is not") throw new FilterFault("`is` is only for None", left.at, "write `==` to compare");
    const [a, b] = [this.operand(left), this.operand(right)];
    if (a.key === "tag" || b.key === "tag") {
      if (a.key && b.key) throw new FilterFault("tags compare only with a text", left.at);
    }
    if (a.key) return { kind: "compare", key: a.key, sign, other: b };
    if (b.key) return { kind: "compare", key: b.key, sign: MIRRORED[sign], other: a };
    throw new FilterFault("a comparison needs a name on one side", left.at);
  }

  membership(left, right, negated) {
    if (right.kind === "list") {
      const values = right.items.map((item) => this.constant(item));
      return { kind: "member", key: this.field(left), values, negated };
    }
    if (left.kind === "constant" && typeof left.value === "string") {
      return { kind: "part", text: this.constant(left).text, key: this.field(right), negated };
    }
    throw new FilterFault("cannot tell what `in` means here", right.at,
      'write `name in ("a", "b")`, `"tag" in tags` or `"part" in name`');
  }

  operand(node) {
    return isName(node) ? { key: this.field(node) } : { forms: this.constant(node) };
  }

  constant(node) {
    if (++this.values > LIMITS.values) throw new FilterFault(`the filter has more than ${LIMITS.values} values`, node.at);
    let value = node.value;
    let ok = node.kind === "constant";
    if (node.kind === "signed" && node.term.kind === "constant") {
      value = node.sign === "-" && isNumber(node.term.value) ? -node.term.value : node.term.value;
      ok = isNumber(node.term.value);
    }
    if (!ok || value === null) throw new FilterFault("this is not a value", node.at);
    if (typeof value === "string" && /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(value)) {
      throw new FilterFault("a value is a number, a text, True or False", node.at);
    }
    if (typeof value === "bigint") {
      if (value < -BIGGEST || value >= BIGGEST) throw new FilterFault("the number has more than 64 bits", node.at);
      if (value >= -(2n ** 53n) && value <= 2n ** 53n) value = Number(value);
    }
    return formsOf(value);
  }

  // The full name of a field; `val/loss` is one name, which Python takes for a division.
  field(node) {
    const pieces = [];
    let inner = node;
    for (; inner.kind === "division"; inner = inner.left) {
      if (pieces.length >= LIMITS.parts) throw new FilterFault(`the name has more than ${LIMITS.parts} parts`, node.at);
      pieces.push(inner.right);
    }
    let parts = this.parts(inner);
    for (const piece of pieces.reverse()) {
      const [first, ...rest] = this.parts(piece);
      parts = [...parts.slice(0, -1), `${parts[parts.length - 1]}/${first}`, ...rest];
    }
    return fullName(parts, this.known, node.at);
  }

  parts(node) {
    const parts = [];
    let inner = node;
    for (; inner.kind !== "name"; inner = inner.of) {
      const isItem = inner.kind === "item" && inner.key.kind === "constant" && typeof inner.key.value === "string";
      if (inner.kind !== "attribute" && !isItem) throw new FilterFault("this is not a name", inner.at);
      parts.push(isItem ? inner.key.value : inner.name);
      if (parts.length >= LIMITS.parts) throw new FilterFault(`the name has more than ${LIMITS.parts} parts`, node.at);
    }
    return [inner.name, ...parts.reverse()];
  }
}

const isNumber = (value) => typeof value === "number" || typeof value === "bigint";
const isNone = (node) => node.kind === "constant" && node.value === null;
const isPlainName = (node) => node.kind === "name" || node.kind === "attribute" || node.kind === "item";

function isName(node) {
  let inner = node;
  for (; inner.kind === "division"; inner = inner.left) if (!isPlainName(inner.right)) return false;
  return isPlainName(inner);
}

// --- names ------------------------------------------------------------------------------------

export function fullName(parts, known, at) {
  const [first, ...rest] = parts;
  if (!rest.length) {
    if (ATTRIBUTES.includes(first)) return first;
    if (first === "tag" || first === "tags") return "tag";
    if (SPACES.includes(first)) throw new FilterFault(`'${first}' is a group of names, not a name`, at, `write \`${first}.NAME\``);
  }
  const candidates = SPACES.includes(first)
    ? [[first, ...rest].join(".")]
    : SPACES.slice(0, 2).map((space) => [space, ...parts].join("."));
  const found = candidates.filter((key) => known.has(key));
  const name = parts.join(".");
  if (found.length === 1) return found[0];
  if (found.length) throw new FilterFault(`'${name}' is ambiguous`, at, `write \`${found[0]}\``);
  const near = nearNames(name, known);
  throw new FilterFault(`no run has '${name}'`, at, near.length ? `did you mean ${near.map((n) => `\`${n}\``).join(", ")}?` : null);
}

function nearNames(name, known) {
  const scored = [];
  for (const key of [...known, ...ATTRIBUTES]) {
    const short = key.slice(key.indexOf(".") + 1);
    const last = key.slice(key.lastIndexOf(".") + 1);
    const distance = Math.min(...[key, short, last].map((text) => distanceOf(name, text)));
    if (distance <= Math.max(1, Math.floor(name.length / 3))) scored.push([distance, key]);
    if (scored.length > 2000) break;
  }
  return scored.sort((a, b) => a[0] - b[0]).slice(0, 3).map(([, key]) => key);
}

// How many letters must change, come or go.
function distanceOf(a, b) {
  if (Math.abs(a.length - b.length) > 4) return 99;
  let row = Array.from({ length: b.length + 1 }, (_, n) => n);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length];
}

// --- meaning ----------------------------------------------------------------------------------

const INFINITE = { Infinity: Infinity, "-Infinity": -Infinity };

// A value as filters see it: its number and its text; undefined where it has none.
export function formsOf(value) {
  if (typeof value === "boolean") return { number: value ? 1 : 0, text: String(value) };
  if (value === Infinity || value === -Infinity) return { number: value, text: String(value) };
  if (isNumber(value)) return { number: value, text: undefined };
  return { number: Object.hasOwn(INFINITE, value) ? INFINITE[value] : undefined, text: value };
}

// Attributes stay what they are: a text is no number.
function attributeForms(value) {
  return typeof value === "string" ? { number: undefined, text: value } : formsOf(value);
}

// Order by code points, as Python and SQLite have it.
function compareTexts(a, b) {
  for (let n = 0; n < a.length && n < b.length; n++) {
    if (a[n] === b[n]) continue;
    const isPair = [a, b].map((text) => /[\ud800-\udfff]/.test(text[n]));
    return isPair[0] === isPair[1] ? (a[n] < b[n] ? -1 : 1) : isPair[0] ? 1 : -1;
  }
  return a.length - b.length;
}

const COMPARE = {
  "==": (order) => order === 0,
  "!=": (order) => order !== 0,
  "<": (order) => order < 0,
  "<=": (order) => order <= 0,
  ">": (order) => order > 0,
  ">=": (order) => order >= 0,
};

function compareForms(left, sign, right) {
  if (left.number !== undefined && right.number !== undefined) {
    return COMPARE[sign](left.number < right.number ? -1 : left.number > right.number ? 1 : 0);
  }
  if (left.text !== undefined && right.text !== undefined) return COMPARE[sign](compareTexts(left.text, right.text));
  return sign === "!=";
}

function tagsHold(term, tags) {
  const texts = tags.map((text) => ({ number: undefined, text }));
  switch (term.kind) {
    case "compare": {
      const equal = (tag) => compareForms(tag, term.sign === "!=" ? "==" : term.sign, term.other.forms);
      return texts.some(equal) !== (term.sign === "!=");
    }
    case "member":
      return texts.some((tag) => term.values.some((value) => compareForms(tag, "==", value))) !== term.negated;
    case "part":
      return tags.includes(term.text) !== term.negated;
    default:
      return tags.length > 0;
  }
}

function fieldHolds(term, forms) {
  if (forms === null) return false;
  switch (term.kind) {
    case "member":
      return term.values.some((value) => compareForms(forms, "==", value)) !== term.negated;
    case "part":
      return (forms.text !== undefined && forms.text.includes(term.text)) !== term.negated;
    case "truth":
      return Boolean(forms.number === undefined ? forms.text : forms.number);
    default:
      return true;
  }
}

function holds(term, formsAt, tags) {
  if (term.kind === "all") return term.terms.every((inner) => holds(inner, formsAt, tags));
  if (term.kind === "any") return term.terms.some((inner) => holds(inner, formsAt, tags));
  if (term.kind === "not") return !holds(term.term, formsAt, tags);
  if (term.key === "tag") return tagsHold(term, tags());
  const forms = formsAt(term.key);
  if (term.kind !== "compare") return fieldHolds(term, forms);
  if (term.other.key === "tag") return false;
  const other = term.other.key ? formsAt(term.other.key) : term.other.forms;
  return forms !== null && other !== null && compareForms(forms, term.sign, other);
}

// The tree of a filter. Throws `FilterFault` with the place of the fault.
export function parseFilter(text, known) {
  if (text.length > LIMITS.length) throw new FilterFault("the filter is too long");
  const stripped = text.trimStart();
  const shift = text.length - stripped.length;
  const plain = stripped.trimEnd().replace(/[\n\r\f]/g, " ");
  if (!plain) throw new FilterFault("the filter is empty", 0, "write for example `metrics.accuracy > 0.8`");
  try {
    return new Checker(known, plain).condition(new Reader(plain).whole());
  } catch (fault) {
    if (fault instanceof FilterFault && fault.at !== null) fault.at += shift;
    throw fault;
  }
}

// The rows of the columns for which a filter is true.
export function matchingRows(text, columns, known) {
  const term = parseFilter(text, known);
  const isAttribute = new Set(ATTRIBUTES);
  const found = [];
  for (let row = 0; row < columns.n; row++) {
    const formsAt = (key) => {
      if (key === "fingerprint" && columns.has("cell")) throw new FilterFault("fingerprints are not in this file", null, "ask git exp list --where");
      const value = columns.asked(key, row);
      return value === null ? null : isAttribute.has(key) ? attributeForms(value) : formsOf(value);
    };
    if (holds(term, formsAt, () => columns.get("tags", row) || [])) found.push(row);
  }
  return found;
}
