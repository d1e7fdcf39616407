// A grid of any number of rows, of which only those in sight are in the document.

import { announce, element, replaceChildren } from "./elements.js";

const AROUND = 8;
const PRINTED = 300;

// `columns`: `{key, label, kind, width, number, pinned, cell(item), said(item)}`. `given` has `items`,
// `columns`, `sort`, `onSort(key)`, `onOpen(item)`, `onSelect(item, range)`, `onKey(event, item)`,
// `isSelected(item)`, `keyOf(item)`, `label`, `describe(item)`.
export class Grid {
  constructor(given) {
    this.given = given;
    this.cursor = 0;
    this.height = matchMedia("(max-width: 760px)").matches ? 34 : 28;
    this.head = element("div", { class: "grid-head", role: "row", "aria-rowindex": "1" });
    this.body = element("div", { class: "grid-body", role: "rowgroup" });
    this.scroller = element("div", {
      class: "grid", role: "grid", tabindex: "0", "aria-label": given.label, "aria-multiselectable": "true",
      on: { scroll: () => this.wait(), keydown: (event) => this.press(event) },
    }, element("div", { role: "rowgroup", class: "grid-top" }, this.head), this.body);
    this.root = element("div", { class: "grid-frame" }, this.scroller);
    this.resize = new ResizeObserver(() => this.wait());
    this.resize.observe(this.scroller);
    addEventListener("beforeprint", (this.onPrint = () => this.draw(true)));
    addEventListener("afterprint", (this.onPrinted = () => this.draw()));
    this.update(given);
  }

  end() {
    this.resize.disconnect();
    removeEventListener("beforeprint", this.onPrint);
    removeEventListener("afterprint", this.onPrinted);
  }

  update(given) {
    Object.assign(this.given, given);
    const { items, columns } = this.given;
    this.cursor = Math.max(0, Math.min(this.cursor, items.length - 1));
    this.scroller.setAttribute("aria-rowcount", String(items.length + 1));
    this.scroller.setAttribute("aria-colcount", String(columns.length));
    this.width = columns.reduce((sum, column) => sum + column.width, 0);
    this.drawHead();
    this.draw();
  }

  drawHead() {
    const { columns, sort, onSort } = this.given;
    let left = 0;
    const cells = columns.map((column, n) => {
      const isSorted = sort.key === column.key;
      const way = isSorted ? (sort.down ? "descending" : "ascending") : column.fixed ? null : "none";
      const label = element("span", { class: "label" }, column.label, isSorted ? (sort.down ? " ↓" : " ↑") : "");
      const inside = [element("span", { class: "kind" }, column.kind || ""), label];
      const cell = element("div", {
        class: `cell head${column.number ? " number" : ""}${column.pinned ? " pinned" : ""}`,
        role: "columnheader", "aria-colindex": String(n + 1), "aria-sort": way, title: column.title || null,
      }, column.fixed ? inside : element("button", { type: "button", tabindex: "-1", on: { click: () => onSort(column.key) } }, inside));
      this.place(cell, column, left);
      if (column.pinned) left += column.width;
      return cell;
    });
    replaceChildren(this.head, cells);
    this.head.style.width = `${this.width}px`;
    this.body.style.width = `${this.width}px`;
  }

  place(cell, column, left) {
    cell.style.width = `${column.width}px`;
    if (column.pinned) cell.style.left = `${left}px`;
  }

  wait() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = null;
      this.draw();
    });
  }

  draw(isPrinting = false) {
    const { items } = this.given;
    const seen = this.scroller.clientHeight || 600;
    const top = this.scroller.scrollTop;
    const first = isPrinting ? 0 : Math.max(0, Math.floor(top / this.height) - AROUND);
    const last = isPrinting ? Math.min(items.length, PRINTED) : Math.min(items.length, Math.ceil((top + seen) / this.height) + AROUND);
    this.body.style.height = `${items.length * this.height}px`;
    const rows = [];
    for (let n = first; n < last; n++) rows.push(this.row(items[n], n));
    replaceChildren(this.body, rows);
    const hasCursor = this.cursor >= first && this.cursor < last;
    if (hasCursor) this.scroller.setAttribute("aria-activedescendant", `grid-row-${this.cursor}`);
    else this.scroller.removeAttribute("aria-activedescendant");
  }

  row(item, n) {
    const { columns, isSelected, onOpen } = this.given;
    const isChosen = isSelected(item);
    const kinds = ["grid-row", n === this.cursor ? "cursor" : "", isChosen ? "chosen" : "", item.kind || ""];
    let left = 0;
    const row = element("div", {
      class: kinds.filter(Boolean).join(" "), role: "row", id: `grid-row-${n}`,
      "aria-rowindex": String(n + 2), "aria-selected": isChosen ? "true" : "false",
      on: { click: (event) => this.click(event, n), dblclick: () => onOpen(item) },
    });
    row.style.top = `${n * this.height}px`;
    row.style.height = `${this.height}px`;
    columns.forEach((column, c) => {
      const cell = element("div", {
        class: `cell${column.number ? " number" : ""}${column.pinned ? " pinned" : ""} ${column.class || ""}`,
        role: c === 1 ? "rowheader" : "gridcell", "aria-colindex": String(c + 1),
      }, column.cell(item));
      this.place(cell, column, left);
      if (column.pinned) left += column.width;
      row.append(cell);
    });
    return row;
  }

  click(event, n) {
    const moved = n !== this.cursor;
    const before = this.cursor;
    this.cursor = n;
    if (event.shiftKey) {
      const [a, b] = [Math.min(before, n), Math.max(before, n)];
      this.given.onSelect(this.given.items.slice(a, b + 1), true);
    } else if (moved && !event.target.closest("button, input")) this.draw();
    this.told();
  }

  get item() {
    return this.given.items[this.cursor];
  }

  move(to) {
    const last = this.given.items.length - 1;
    if (last < 0) return;
    this.cursor = Math.max(0, Math.min(last, to));
    const top = this.cursor * this.height;
    const seen = this.scroller.clientHeight - this.head.offsetHeight;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (top + this.height > this.scroller.scrollTop + seen) this.scroller.scrollTop = top + this.height - seen;
    this.draw();
    this.told();
  }

  told() {
    if (this.item) announce(this.given.describe(this.item));
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.height) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in steps) {
      const to = this.cursor + steps[event.key];
      this.move(to === Infinity ? this.given.items.length - 1 : to === -Infinity ? 0 : to);
      event.preventDefault();
    } else if (event.target === this.scroller && this.item) {
      if (event.key === "Enter") this.given.onOpen(this.item);
      else if (event.key === " ") this.given.onSelect([this.item], false);
      else if (!this.given.onKey(event, this.item)) return;
      event.preventDefault();
    }
  }
}
