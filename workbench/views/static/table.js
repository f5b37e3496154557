// A table that can be sorted by every column, filtered by name and walked with the keyboard.
import { make } from "./embed.js";

// columns: {key, title, text(value), bar?(row) -> share 0..1, bad?: true, numeric?: true, hint?}
// Returns {element, filter(text) -> number of rows shown, select(name)}.
export function sortableTable({ columns, rows, label, sortBy, onSelect }) {
  const state = { key: sortBy, descending: true, filter: "", selected: null };
  const box = make("div", "wb-scroll wb-tall", "", { tabindex: "0", role: "region", "aria-label": label });
  const table = make("table", "wb-table wb-sortable");
  const body = make("tbody");
  const heads = new Map();
  const headRow = make("tr");
  for (const column of columns) {
    const head = make("th", column.numeric ? "wb-number" : "", "", { scope: "col" });
    const button = make("button", "wb-sort", column.title, { type: "button" });
    if (column.hint) button.title = column.hint;
    button.addEventListener("click", () => sort(column));
    head.append(button);
    headRow.append(head);
    heads.set(column.key, head);
  }
  const top = make("thead");
  top.append(headRow);
  table.append(top, body);
  box.append(table);
  const lines = new Map(rows.map((row) => [row, makeLine(row)]));

  function makeLine(row) {
    const line = make("tr");
    for (const column of columns) {
      const cell = make("td", column.numeric ? "wb-number" : "");
      if (column.key === "name") {
        const button = make("button", "wb-link wb-name", row.name, { type: "button", "aria-pressed": "false" });
        button.title = row.name;
        cell.append(button);
      } else {
        cell.textContent = column.text(row[column.key], row);
      }
      const share = column.bar?.(row) ?? 0;
      if (share > 0) {
        cell.classList.add("wb-with-bar");
        cell.style.setProperty("--share", `${Math.max(0.5, Math.min(1, share) * 100)}%`);
        if (column.bad) cell.classList.add("wb-bad");
      }
      line.append(cell);
    }
    line.addEventListener("click", () => choose(row.name === state.selected ? null : row.name));
    return line;
  }

  function sort(column) {
    const same = state.key === column.key;
    state.descending = same ? !state.descending : Boolean(column.numeric);
    state.key = column.key;
    show();
  }

  function compare(a, b) {
    const [x, y] = [a[state.key], b[state.key]];
    if (x === null || y === null) return (x === null) - (y === null);
    const order = typeof x === "string" ? x.localeCompare(y) : x - y;
    return (state.descending ? -order : order) || a.name.localeCompare(b.name);
  }

  function show() {
    for (const [key, head] of heads) {
      const order = state.descending ? "descending" : "ascending";
      head.setAttribute("aria-sort", key === state.key ? order : "none");
    }
    const wanted = state.filter.toLowerCase();
    const shown = rows.filter((row) => row.name.toLowerCase().includes(wanted)).sort(compare);
    body.replaceChildren(...shown.map((row) => lines.get(row)));
    return shown.length;
  }

  function choose(name) {
    state.selected = name;
    for (const [row, line] of lines) {
      line.classList.toggle("wb-selected", row.name === name);
      line.querySelector(".wb-name").setAttribute("aria-pressed", String(row.name === name));
    }
    onSelect(name);
  }

  show();
  return {
    element: box,
    select: choose,
    filter(text) {
      state.filter = text;
      return show();
    },
  };
}
