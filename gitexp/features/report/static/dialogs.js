// Decide, note and tag in the live page: recorded by the server as the command line does it.

import { mark, notify, openDialog, quoted, commandLine } from "./actions.js";
import { button, clean, element, foreign, hooks } from "./elements.js";
import { formatValue } from "./numbers.js";

const DECISIONS = ["improve", "keep", "discard", "stop"];

export async function send(change) {
  let answer;
  try {
    answer = await fetch("say", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(change) });
  } catch {
    return { error: "no answer from git exp ui", because: "whether it was recorded is not known: look at the run again" };
  }
  try {
    return await answer.json();
  } catch {
    return { error: `git exp ui answered ${answer.status}` };
  }
}

function field(label, given) {
  const input = element("input", { type: "text", spellcheck: "true", autocomplete: "off", ...given });
  return { input, root: element("label", { class: "said-field" }, element("span", null, label), input) };
}

// One dialog: `parts` are its fields, `change()` what is sent, `command()` the same for a shell.
function sayDialog(context, row, title, { parts, change, command, recorded }) {
  const { search } = context;
  const isReadOnly = search.payload.read_only;
  const run = search.columns.ids[row];
  const fault = element("p", { class: "said-fault", role: "alert" });
  const shown = element("div", { class: "same-as" });
  const force = element("input", { type: "checkbox" });
  const forced = element("label", { class: "choice" }, force, "keep it nevertheless");
  forced.hidden = true;
  const draw = () => shown.replaceChildren(commandLine(command()));
  const record = async () => {
    go.disabled = true;
    fault.textContent = "";
    const answer = await send({ run, ...change(), ...(force.checked ? { force: true } : {}) });
    go.disabled = false;
    if (!answer.error) {
      dialog.close();
      notify(recorded());
      return;
    }
    fault.textContent = clean([answer.error, answer.because, ...(answer.hints || [])].filter(Boolean).join("; "));
    forced.hidden = !/guard/.test(answer.because || "");
  };
  const go = button("Record", record, { class: "button primary" });
  const value = search.columns.get(`metrics.${context.state.metric.name}`, row);
  const dialog = openDialog(`${title} ${clean(search.name(row))}`,
    value === null ? null : element("p", { class: "said" }, foreign(context.state.metric.name, 40), ` ${formatValue(value)}`),
    parts, forced, fault, element("p", { class: "said" }, isReadOnly ? "This page is read-only. In the repository:" : "The same as"), shown,
    isReadOnly ? null : element("p", { class: "row ends" }, button("Cancel", () => dialog.close()), go));
  for (const event of ["input", "change"]) dialog.addEventListener(event, draw);
  dialog.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing || isReadOnly || !event.target.closest("input:not([type=checkbox])")) return;
    event.preventDefault();
    if (!go.disabled) record();
  });
  draw();
  dialog.querySelector("input[type=text]")?.focus();
  return dialog;
}

function messageOption(text, option = "-m") {
  return text.trim() ? ` ${option} ${quoted(text.trim())}` : "";
}

export function decideLive(context, row) {
  const { search } = context;
  const id = search.shortIds[row];
  const why = field("Why");
  const next = field("Next", { placeholder: "what to try next; stays open until a run takes it up" });
  const now = search.columns.get("decision", row);
  let word = now || "keep";
  const choices = element("fieldset", { class: "segments" }, element("legend", { class: "hidden" }, "Decision"), DECISIONS.map((one) => {
    const input = element("input", { type: "radio", name: "decision", value: one, on: { change: () => (word = one) } });
    input.checked = one === word;
    return element("label", null, input, mark(one));
  }));
  const seen = (search.payload.story[row] || []).filter((said) => said.kind === "decision").length;
  return sayDialog(context, row, "Decide", {
    parts: [choices, why.root, next.root],
    change: () => ({ kind: "decision", decision: word, text: why.input.value, hint: next.input.value, seen }),
    command: () => `git exp decide ${id} ${word}${messageOption(why.input.value)}${messageOption(next.input.value, "--next")}`,
    recorded: () => `recorded: ${word} ${search.name(row)}`,
  });
}

export function noteLive(context, row) {
  const { search } = context;
  const text = field("Note");
  return sayDialog(context, row, "Note about", {
    parts: [text.root],
    change: () => ({ kind: "note", text: text.input.value }),
    command: () => `git exp note ${search.shortIds[row]} ${quoted(text.input.value.trim() || "…")}`,
    recorded: () => `noted about ${search.name(row)}`,
  });
}

export function tagLive(context, row) {
  const { search } = context;
  const tags = search.columns.get("tags", row) || [];
  const added = field("Add", { placeholder: "names, with spaces between them" });
  const off = new Set();
  const present = element("fieldset", { class: "present-tags" }, element("legend", null, tags.length ? "Take off" : "It has no tags."), tags.map((tag) => {
    const box = element("input", { type: "checkbox", on: { change: () => (box.checked ? off.add(tag) : off.delete(tag)) } });
    return element("label", { class: "choice" }, box, foreign(tag, 60));
  }));
  const names = () => (off.size ? [...off] : added.input.value.trim().split(/\s+/).filter(Boolean));
  return sayDialog(context, row, "Tag", {
    parts: [added.root, present],
    change: () => ({ kind: off.size ? "untag" : "tag", tags: names() }),
    command: () => `git exp tag ${search.shortIds[row]} ${off.size ? "-d " : ""}${names().map(quoted).join(" ") || "…"}`,
    recorded: () => `${off.size ? "took off" : "tagged"} ${names().join(", ")}`,
  });
}

hooks.decide = decideLive;
hooks.buttons = (context, row) => [button("Note", () => noteLive(context, row)), button("Tag", () => tagLive(context, row))];
hooks.keys = (context, row) => (row === null ? {} : { n: () => noteLive(context, row), t: () => tagLive(context, row) });
hooks.keyHelp = [["n t", "note; tag"]];
