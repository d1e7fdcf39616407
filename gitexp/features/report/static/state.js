// What the reader looks at. All of it is in the fragment of the address, so a link shows the same.

export const VIEWS = ["summary", "runs", "curves", "space", "compare", "ideas"];

const DEFAULTS = {
  v: "summary", m: "", q: "", s: "", fold: "1", diff: "1", sel: "", base: "", run: "", hide: "", show: "",
  x: "step", ly: "0", band: "1", sm: "0", brush: "", sx: "", t: "", keys: "1", pair: "", view: "",
};

export class State {
  constructor(search) {
    this.search = search;
    this.listeners = [];
    this.read();
    addEventListener("hashchange", () => {
      this.read();
      this.tell();
    });
  }

  read() {
    const asked = new URLSearchParams(location.hash.slice(1));
    this.all = { ...DEFAULTS };
    for (const name of Object.keys(DEFAULTS)) if (asked.has(name)) this.all[name] = asked.get(name);
    if (!VIEWS.includes(this.all.v)) this.all.v = "summary";
  }

  get(name) {
    return this.all[name];
  }

  has(name) {
    return this.all[name] === "1";
  }

  flip(name) {
    this.set({ [name]: this.has(name) ? "0" : "1" });
  }

  // Change what is looked at. Views and opened runs can be gone back from; the rest replaces.
  set(changes) {
    const isStep = ("v" in changes && changes.v !== this.all.v) || ("run" in changes && changes.run !== this.all.run);
    Object.assign(this.all, changes);
    history[isStep ? "pushState" : "replaceState"](null, "", this.address());
    this.tell(isStep);
  }

  address() {
    const kept = Object.entries(this.all).filter(([name, value]) => value !== DEFAULTS[name]);
    return kept.length ? `#${new URLSearchParams(kept)}` : location.pathname + location.search;
  }

  tell(isStep = false) {
    for (const listener of this.listeners) listener(isStep);
  }

  get metric() {
    const { metrics } = this.search;
    return this.search.metric(this.all.m || metrics[0]?.name || "");
  }

  rowOf(id) {
    if (!id) return null;
    if (this.search.rowOfId.has(id)) return this.search.rowOfId.get(id);
    const row = this.search.columns.ids.findIndex((whole) => whole.startsWith(id));
    return row < 0 ? null : row;
  }

  // The view of the project that is open, if any.
  get named() {
    return this.search.views.find((view) => view.name === this.all.view) || null;
  }

  // Open a view of the project: its filter, order and columns; without a name, the usual ones.
  openView(name, isFirst = false) {
    const found = this.search.views.find((view) => view.name === name);
    const metric = found ? found.sort.replace(/^-?metrics\./, "") : "";
    const isMain = metric === this.search.metrics[0]?.name || !this.search.metrics.some((one) => one.name === metric);
    const changes = { view: found ? name : "", q: found?.filter || "", s: found?.sort || "", m: isMain ? "" : metric, show: "", hide: "", brush: "" };
    if (isFirst) Object.assign(this.all, changes, { v: "runs" });
    else this.set(changes);
  }

  get selected() {
    return this.all.sel.split(".").map((id) => this.rowOf(id)).filter((row) => row !== null);
  }

  select(rows) {
    this.set({ sel: rows.map((row) => this.search.shortIds[row]).join(".") });
  }

  toggle(row) {
    const rows = this.selected;
    this.select(rows.includes(row) ? rows.filter((other) => other !== row) : [...rows, row]);
  }

  get baseline() {
    return this.rowOf(this.all.base);
  }

  get run() {
    return this.rowOf(this.all.run);
  }

  open(row) {
    this.set({ run: this.search.shortIds[row] });
  }

  pin(row) {
    const id = this.search.shortIds[row];
    this.set({ base: this.all.base === id ? "" : id });
  }

  list(name) {
    return this.all[name] ? this.all[name].split("~").map(decodeURIComponent) : [];
  }

  setList(name, values) {
    this.set({ [name]: values.map(encodeURIComponent).join("~") });
  }
}
