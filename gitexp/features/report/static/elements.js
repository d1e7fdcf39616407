// Elements of the page. Foreign text becomes text nodes only; nothing here reads markup.

const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Surrogate}/gu;
const SVG = "http://www.w3.org/2000/svg";
const ALLOWED = /^(?:aria-[a-z]+|role|id|class|title|type|for|tabindex|lang|dir|value|name|placeholder|href|colspan|rowspan|scope|autocomplete|spellcheck|disabled|checked|selected|open|max|min|viewBox|width|height|x|y|x1|x2|y1|y2|cx|cy|r|d|points|transform|text-anchor|preserveAspectRatio|dominant-baseline|focusable|data-[a-z]+)$/;

// What the live page puts in place of the frozen one's.
export const hooks = {};

// Shows characters that reorder text or cannot be seen as ‹202e›; line ends stay on request.
export function clean(text, lines = false) {
  return String(text).replace(UNSAFE, (found) =>
    lines && (found === "\n" || found === "\t") ? found : `‹${found.codePointAt(0).toString(16)}›`
  );
}

function setAttribute(made, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (!ALLOWED.test(name)) throw new Error(`no attribute ${name} here`);
  if (name === "href" && !String(value).startsWith("#")) throw new Error("links stay in the page");
  made.setAttribute(name, value === true ? "" : String(value));
}

function fill(made, given, children) {
  for (const [name, value] of Object.entries(given || {})) {
    if (name === "on") {
      for (const [event, act] of Object.entries(value)) made.addEventListener(event, act);
    } else setAttribute(made, name, value);
  }
  made.append(...children.flat(3).filter((child) => child !== null && child !== undefined));
  return made;
}

// An element with attributes, listeners under `on`, and children; strings become text.
export function element(name, given, ...children) {
  return fill(document.createElement(name), given, children);
}

// The same for drawings.
export function drawing(name, given, ...children) {
  return fill(document.createElementNS(SVG, name), given, children);
}

// A text of a user: its direction is its own and cannot reach its surroundings.
export function foreign(text, most = Infinity) {
  const shown = clean(text);
  const cut = shown.length > most ? cutMiddle(shown, most) : shown;
  return element("bdi", cut === shown ? null : { title: shown }, cut);
}

// A long text without its middle, as ends tell names apart; letters are never cut in two.
export function cutMiddle(text, most) {
  const letters = Array.from(new Intl.Segmenter().segment(text), (part) => part.segment);
  if (letters.length <= most) return text;
  const half = Math.floor((most - 1) / 2);
  return `${letters.slice(0, half).join("")}…${letters.slice(-half).join("")}`;
}

export function replaceChildren(place, ...children) {
  place.replaceChildren(...children.flat(3).filter(Boolean));
}

export function button(label, act, given) {
  const { class: kind, ...rest } = given || {};
  return element("button", { type: "button", class: kind || "button", on: { click: act }, ...rest }, label);
}

export function heading(text, said) {
  return element("h2", null, text, said ? element("span", { class: "said" }, said) : null);
}

// A sentence that screen readers tell when it changes.
export function announce(text) {
  const place = document.getElementById("told");
  if (place) place.textContent = clean(text);
}

// The value of a colour of the style, for canvases.
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
