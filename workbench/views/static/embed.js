// What all views share: data inflated by the browser itself, elements, figures for people.

export async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

// Makes an element. Texts are only ever set as text: names come from traced programs.
export function make(tag, className = "", text = "", attributes = {}) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

const UNITS_NS = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];

export function humanTime(ns) {
  if (ns >= 120e9) {
    const minutes = Math.floor(ns / 60e9);
    return `${minutes.toLocaleString("en")} min ${Math.round((ns - minutes * 60e9) / 1e9)} s`;
  }
  const [size, unit] = UNITS_NS.find(([limit]) => ns >= limit) ?? [1, "ns"];
  return `${Number((ns / size).toPrecision(3))} ${unit}`;
}

export function humanCount(count) {
  return count.toLocaleString("en", { maximumFractionDigits: 0 });
}

const SIZES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function humanSize(bytes) {
  let step = 0;
  while (bytes >= 1023.5 && step < SIZES.length - 1) {
    bytes /= 1024;
    step += 1;
  }
  return `${Number(bytes.toPrecision(3))} ${SIZES[step]}`;
}

export function percent(share) {
  if (!Number.isFinite(share) || share === 0) return "0%";
  if (share === 1) return "100%";
  if (share < 0.0001) return "<0.01%";
  return `${(share * 100).toFixed(share < 0.0995 ? 2 : 1)}%`;
}

// Calls back when the theme may have changed: a colour of the element had a transition, or it
// came into view (no transition runs while a notebook keeps it outside of the page).
export function onTheme(element, handler, signal) {
  element.addEventListener("transitionend", handler, { signal });
  const observer = new IntersectionObserver(handler);
  observer.observe(element);
  signal.addEventListener("abort", () => observer.disconnect());
}
