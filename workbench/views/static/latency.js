// The latency histogram. BokehJS comes with the page and is started only when it is needed.
import { humanCount, humanTime, inflate, percent } from "./embed.js";

const LOADING = Symbol.for("ebpf-workbench.bokeh"); // several views on a page load it once

export function loadBokeh(bytes, version) {
  const there = () => window.Bokeh?.[version] ?? window.Bokeh;
  if (window.Bokeh?.[version] || (window.Bokeh && !bytes)) return Promise.resolve(there());
  if (!bytes) return window[LOADING] ?? Promise.reject(new Error("BokehJS is not on this page"));
  window[LOADING] ??= inflate(bytes).then((buffer) => {
    const script = document.createElement("script");
    const code = new TextDecoder().decode(buffer);
    // Module loaders of the page (require.js in notebooks) must not catch a part of it.
    script.textContent = `{const define = undefined, module = undefined, exports = undefined;\n${code}\n}`;
    document.head.append(script);
    script.remove();
    return there();
  });
  return window[LOADING];
}

const LABEL_WIDTH = 56; // px of "100 ms" at 11 px, with a gap
const MIN_WIDTH = 300;

const low = (bucket) => (bucket === 0 ? 0 : 2 ** bucket);

// Sums [bucket, calls] lists to contiguous columns for the plot's source.
export function columnsOf(buckets) {
  const calls = new Map();
  for (const [bucket, n] of buckets) calls.set(bucket, (calls.get(bucket) ?? 0) + n);
  const first = Math.min(...calls.keys());
  const last = Math.max(...calls.keys());
  const total = [...calls.values()].reduce((sum, n) => sum + n, 0);
  const columns = { left: [], right: [], calls: [], range: [], count: [], share: [] };
  for (let bucket = first; bucket <= last; bucket++) {
    const n = calls.get(bucket) ?? 0;
    columns.left.push(2 ** bucket);
    columns.right.push(2 ** (bucket + 1) / 1.04); // a gap between bars
    columns.calls.push(n);
    columns.range.push(`${humanTime(low(bucket))} to ${humanTime(2 ** (bucket + 1))}`);
    columns.count.push(humanCount(n));
    columns.share.push(percent(n / total));
  }
  return columns;
}

export class LatencyPlot {
  static async show(element, item, bokeh) {
    const views = await bokeh.embed.embed_item(item, element);
    return new LatencyPlot([...views][0].model);
  }

  constructor(plot) {
    this.plot = plot;
    this.find = (name) => plot.document.get_model_by_name(name);
    plot.properties.inner_width.change.connect(() => this.thinOut());
  }

  // Labels only at as many decades as fit beside each other.
  thinOut() {
    const { start, end } = this.plot.x_range;
    const first = Math.ceil(Math.log10(start));
    const last = Math.floor(Math.log10(end));
    const room = Math.max(2, Math.floor((this.plot.inner_width || MIN_WIDTH) / LABEL_WIDTH));
    const step = Math.ceil((Math.log10(end) - Math.log10(start)) / room);
    const ticks = [];
    for (let power = first; power <= last; power += step) ticks.push(10 ** power);
    this.plot.below[0].ticker.setv({ ticks });
  }

  fill(buckets, { p50 = null, p99 = null } = {}) {
    const columns = columnsOf(buckets);
    const { plot } = this;
    this.find("wb-calls").data = columns;
    const n = columns.left.length;
    plot.x_range.setv({ start: columns.left[0] / 1.5, end: columns.right[n - 1] * 1.5 });
    this.thinOut();
    plot.y_range.setv({ start: 0, end: Math.max(...columns.calls) * 1.08 || 1 });
    for (const [name, at] of Object.entries({ p50, p99 })) {
      this.find(`wb-${name}`).setv({ location: at || 1, visible: Boolean(at) });
    }
  }

  colour(text, line) {
    const { plot } = this;
    const font = { major_label_text_color: text, axis_label_text_color: text };
    const axes = { axis_line_color: line, major_tick_line_color: line, minor_tick_line_color: null };
    const size = { axis_label_text_font_style: "normal", major_label_text_font_size: "11px" };
    for (const axis of [...plot.below, ...plot.left]) axis.setv({ ...font, ...axes, ...size });
    for (const grid of plot.center) if ("grid_line_color" in grid.attributes) grid.setv({ grid_line_color: line });
  }
}
