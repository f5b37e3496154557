// Overview of system calls. State of the model: see fragment() of views/syscalls.py.
import { humanCount, humanTime, make, onTheme, percent } from "./embed.js";
import { LatencyPlot, loadBokeh } from "./latency.js";
import { sortableTable } from "./table.js";

const time = (ns) => (ns === null ? "–" : humanTime(ns));
const most = (rows, key) => Math.max(1, ...rows.map((row) => row[key] ?? 0));

function columnsFor(rows) {
  const [calls, total] = [most(rows, "calls"), most(rows, "total")];
  return [
    { key: "name", title: "system call" },
    { key: "calls", title: "calls", numeric: true, text: humanCount, bar: (row) => row.calls / calls },
    { key: "errors", title: "errors", numeric: true, text: (n) => (n ? humanCount(n) : "") },
    {
      key: "rate", title: "error %", numeric: true, bad: true, bar: (row) => row.rate,
      text: (share) => (share ? percent(share) : ""),
    },
    {
      key: "total", title: "total", numeric: true, text: time, bar: (row) => row.total / total,
      hint: "Time in the call, waiting included, summed over all threads",
    },
    { key: "mean", title: "mean", numeric: true, text: time },
    { key: "p50", title: "p50", numeric: true, text: time, hint: "Half of the calls took at most this" },
    { key: "p99", title: "p99", numeric: true, text: time, hint: "99 of 100 calls took at most this" },
    { key: "max", title: "max", numeric: true, text: time },
  ].filter((column) => column.key !== "max" || rows.some((row) => row.max !== null));
}

function figureCards(figures) {
  const box = make("div", "wb-cards");
  for (const [value, label, detail] of figures) {
    const card = make("div", "wb-card");
    card.append(make("div", "wb-card-label", label), make("div", "wb-card-value", value));
    if (detail) card.append(make("div", "wb-card-detail", detail));
    box.append(card);
  }
  return box;
}

function errorTable(errors) {
  const box = make("div", "wb-scroll wb-errors");
  const table = make("table", "wb-table");
  const head = make("tr");
  head.append(make("th", "", "error"), make("th", "", "system call"), make("th", "wb-number", "calls"));
  const top = make("thead");
  top.append(head);
  const body = make("tbody");
  table.append(top, body);
  box.append(table);
  const largest = most(errors, "calls");
  return {
    element: box,
    show(name) {
      const shown = errors.filter((row) => name === null || row.name === name);
      body.replaceChildren(...shown.map((row) => {
        const line = make("tr");
        const calls = make("td", "wb-number wb-with-bar wb-bad", humanCount(row.calls));
        calls.style.setProperty("--share", `${Math.max(0.5, (row.calls / largest) * 100)}%`);
        line.append(make("td", "wb-mono", row.error ?? "any"), make("td", "wb-mono", row.name), calls);
        return line;
      }));
      table.hidden = shown.length === 0;
      return shown.length;
    },
  };
}

class Overview {
  constructor(model, el) {
    this.rows = model.get("rows").map((row) => ({ ...row, rate: row.calls ? row.errors / row.calls : 0 }));
    this.buckets = model.get("buckets");
    this.root = make("section", "wb wb-syscalls", "", { "aria-label": model.get("title") });
    this.selected = null;
    this.errors = errorTable(model.get("errors"));
    if (model.get("notice")) {
      this.root.append(make("div", "wb-banner", model.get("notice"), { role: "alert" }));
    }
    this.head(model.get("title"));
    this.root.append(figureCards(model.get("figures")));
    if (model.get("note")) this.root.append(make("p", "wb-muted wb-note", model.get("note")));
    if (this.rows.length) this.panels();
    else this.root.append(make("p", "wb-muted", "No system calls in what was selected."));
    el.append(this.root);
  }

  head(title) {
    const bar = make("div", "wb-bar");
    const controls = make("div", "wb-controls");
    this.shown = make("output", "wb-figure");
    this.filter = make("input", "wb-input", "", {
      type: "search", placeholder: "Filter by name", "aria-label": "Filter system calls by name",
    });
    this.filter.addEventListener("input", () => this.applyFilter());
    this.filter.addEventListener("keydown", (event) => event.stopPropagation());
    controls.append(this.shown, this.filter);
    bar.append(make("div", "wb-flame-title", title), controls);
    controls.hidden = this.rows.length === 0;
    this.root.append(bar);
  }

  panels() {
    const grid = make("div", "wb-grid");
    this.table = sortableTable({
      columns: columnsFor(this.rows), rows: this.rows, label: "System calls", sortBy: "total",
      onSelect: (name) => this.select(name),
    });
    const side = make("div", "wb-side");
    this.plotTitle = make("div", "wb-panel-title");
    this.plotBox = make("div", "wb-plot", "", { role: "img" });
    const lines = make("div", "wb-plot-key");
    lines.append(make("span", "wb-line"), "p50", make("span", "wb-line wb-dashed"), "p99");
    this.errorTitle = make("div", "wb-panel-title wb-errors-title");
    this.plotHint = make("div", "wb-hint");
    side.append(this.plotTitle, this.plotHint, this.plotBox, lines, this.errorTitle, this.errors.element);
    grid.append(this.table.element, side);
    this.root.append(grid);
    this.select(null);
  }

  applyFilter() {
    const shown = this.table.filter(this.filter.value.trim());
    this.shown.textContent = this.filter.value ? `${shown} of ${this.rows.length}` : "";
  }

  select(name) {
    this.selected = name;
    this.plotTitle.textContent = name === null ? "Latency of all calls" : `Latency of ${name}`;
    this.plotHint.textContent = name === null ? "Choose a row for its own" : "";
    this.plotBox.setAttribute("aria-label", this.plotTitle.textContent);
    const count = this.errors.show(name);
    const of = name === null ? "" : ` of ${name}`;
    this.errorTitle.textContent = count ? `Errors${of}` : `No errors${of}`;
    this.draw();
  }

  draw() {
    if (!this.plot) return;
    const row = this.rows.find((entry) => entry.name === this.selected);
    const all = this.selected === null;
    const buckets = all ? Object.values(this.buckets).flat() : (this.buckets[this.selected] ?? []);
    if (buckets.length) this.plot.fill(buckets, row ?? {});
    this.root.querySelector(".wb-plot-key").hidden = all;
  }

  async startPlot(model) {
    try {
      const bokeh = await loadBokeh(model.get("bokeh"), model.get("bokeh_version"));
      this.plot = await LatencyPlot.show(this.plotBox, model.get("plot"), bokeh);
    } catch (error) {
      this.plotBox.textContent = `The histogram cannot be shown: ${error.message}`;
      return;
    }
    this.theme();
    this.draw();
  }

  theme() {
    if (!this.plot) return;
    const { color, borderBottomColor } = getComputedStyle(this.plotTitle);
    if (this.scheme === color) return;
    this.scheme = color;
    this.plot.colour(color, borderBottomColor);
  }
}

function render({ model, el }) {
  const overview = new Overview(model, el);
  const stop = new AbortController();
  onTheme(overview.root, () => overview.theme(), stop.signal);
  if (overview.rows.length) overview.startPlot(model);
  return () => {
    stop.abort();
    overview.root.remove();
  };
}

export default { render };
