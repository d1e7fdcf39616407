// The frame: tabs, what is looked at, and the footer.

import { arrow, runLink } from "./actions.js";
import { button, clean, element, foreign, hooks, replaceChildren } from "./elements.js";
import { formatTime } from "./numbers.js";
import { countText } from "./runs.js";
import { VIEWS } from "./state.js";

const TITLES = { summary: "Summary", runs: "Runs", curves: "Curves", space: "Space", compare: "Compare", ideas: "Ideas" };

// The parts of the page that stay while views come and go.
export function makeFrame(context) {
  const { search } = context;
  const made = {
    tabs: element("nav", { class: "tabs", "aria-label": "Views" }),
    tools: element("div", { class: "tools" }),
    lens: element("div", { class: "lens", role: "search" }),
    main: element("main", { id: "main", tabindex: "-1" }),
  };
  const top = element("header", { class: "page-top" }, element("a", { class: "skip", href: "#main", on: { click: (event) => { event.preventDefault(); made.main.focus(); } } }, "Skip to the content"),
    element("h1", null, foreign(search.payload.project, 40)), made.tabs, made.tools);
  made.header = element("div", { class: "sticky" }, top, made.lens);
  made.footer = element("footer", null, footerTexts(search.payload).map((text) => element("span", null, text)));
  const note = element("div", { id: "note", class: "note" });
  const told = element("div", { id: "told", class: "hidden", role: "status", "aria-live": "polite" });
  replaceChildren(document.getElementById("page"), made.header, made.main, made.footer, note, told);
  made.parts = makeLens(context, made.lens);
  return made;
}

export function footerTexts(payload) {
  const branch = payload.branch ? `gitexp, branch ${clean(payload.branch)}${payload.tip ? ` at ${payload.tip}` : ""}` : "gitexp";
  const some = payload.n < payload.total ? `${payload.n} of ${payload.total} runs${payload.select ? `, those with ${clean(payload.select)}` : ""}` : "";
  const thinned = payload.thinned && Object.keys(payload.series).length ? "Curves are thinned to 500 points each, of at most 100 runs; the exact ones are on the branch." : "";
  return [branch, some, thinned, hooks.footer || "This file asks the network for nothing."].filter(Boolean);
}

export function makeLens(context, place) {
  const { search, state } = context;
  const metric = element("select", { "aria-label": "metric", on: { change: () => state.set({ m: metric.value === search.metrics[0]?.name ? "" : metric.value, s: "" }) } },
    search.metrics.map((one) => element("option", { value: one.name }, clean(one.name) + arrow(one.direction))));
  const view = element("select", { "aria-label": "view", on: { change: () => state.openView(view.value) } },
    ["", ...search.views.map((one) => one.name)].map((name) => element("option", { value: name }, clean(name) || "all runs")));
  const fault = element("div", { class: "fault", id: "fault", role: "alert" });
  const filter = element("input", { type: "text", class: "mono", spellcheck: "false", autocomplete: "off", "aria-label": "filter", "aria-describedby": "fault",
    placeholder: search.metrics.length ? `${search.metrics[0].name} > 0 and "word" in reason` : 'outcome == "failed"',
    on: { input: () => waitAndFilter(context, filter), keydown: (event) => pressFilter(context, filter, event) } });
  const counted = element("span", { class: "counted", role: "status" });
  const extra = element("span", { class: "extra" });
  replaceChildren(place, search.views.length ? element("label", { class: "field" }, element("span", null, "View"), view) : null, search.metrics.length ? element("label", { class: "field" }, element("span", null, "Metric"), metric) : null,
    element("label", { class: "field where" }, element("span", null, "Where"), filter, element("kbd", { "aria-hidden": "true" }, "/"), fault), counted, extra);
  return { metric, view, filter, fault, counted, extra };
}

function waitAndFilter(context, filter) {
  clearTimeout(context.filtering);
  context.filtering = setTimeout(() => context.state.set({ q: filter.value }), 120);
}

function pressFilter(context, filter, event) {
  if (event.key === "Escape") {
    filter.value = "";
    context.state.set({ q: "" });
    filter.blur();
  } else if (event.key === "Enter") {
    clearTimeout(context.filtering);
    const isWhole = ["summary", "ideas"].includes(context.state.get("v"));
    context.state.set(isWhole ? { q: filter.value, v: "runs", run: "" } : { q: filter.value });
    context.frame.parts.filter.focus();
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

export function updateFrame(context) {
  const { search, state, frame } = context;
  const shown = state.get("v");
  replaceChildren(frame.tabs, VIEWS.map((name) => {
    const n = name === "compare" ? state.selected.length : 0;
    return element("button", { type: "button", class: "tab", "aria-current": state.run === null && shown === name ? "page" : null, on: { click: () => state.set({ v: name, run: "" }) } },
      TITLES[name], n ? element("span", { class: "badge" }, String(n)) : null);
  }));
  replaceChildren(frame.tools, hooks.mark?.(context) ?? element("span", { class: "frozen", title: "This page does not change." }, `▫ Frozen ${formatTime(Date.parse(search.payload.made))} UTC`),
    button(isDark() ? "Light" : "Dark", () => state.set({ t: isDark() ? "light" : "dark" }), { class: "quiet-button" }),
    button("?", () => context.showKeys(), { class: "quiet-button", "aria-label": "Keys" }));
  const { metric, view, filter, fault, counted, extra } = frame.parts;
  view.value = state.named ? state.get("view") : "";
  metric.value = state.metric.name;
  if (document.activeElement !== filter || filter.value.trim() === "") filter.value = state.get("q");
  const found = context.matching();
  const text = found.fault ? faultText(found.fault) : "";
  if (fault.textContent !== text) fault.textContent = text;
  filter.setAttribute("aria-invalid", found.fault ? "true" : "false");
  counted.textContent = countText(context);
  replaceChildren(extra, state.baseline === null ? null : element("span", { class: "chip" }, "Δ to ", runLink(context, state.baseline, 20), " ", button("×", () => state.set({ base: "" }), { class: "link", "aria-label": "unpin the baseline" })),
    state.selected.length ? [button([`Compare ${state.selected.length} `, element("kbd", { "aria-hidden": "true" }, "c")], () => state.set({ v: "compare", run: "" })), button("Clear", () => state.set({ sel: "" }), { class: "link" })] : null);
}

function faultText(fault) {
  const at = fault.at === null ? "" : `column ${fault.at + 1}: `;
  return clean(`${at}${fault.message}${fault.hint ? `; ${fault.hint}` : ""}. The rows still follow the filter before.`);
}

export function isDark() {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

