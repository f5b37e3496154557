// Draws the part of the tree that is in view. Nodes below one pixel become slivers, found by
// binary search, so the cost depends on the pixels and not on the nodes.
import { lowerBound } from "./flame_data.js";

export const ROW = 19;
const FONT = '11.5px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace';
const SHADES = 4;

// Hue, saturation and lightness per kind. Chosen so that any two differ by 19 or more (CIE76)
// with normal sight and with each kind of colour blindness (Machado et al. 2009), and carry
// dark text: tests/views/test_colours.py.
const COLOURS = {
  kernel: [21, 85, 68],
  native: [204, 72, 74],
  inlined: [200, 70, 90],
  python: [47, 88, 64],
  jit: [285, 60, 65],
  unknown: [0, 0, 72],
  group: [140, 20, 51],
};
const INK = {
  light: { text: "#16181d", muted: "#6b7280", edge: "#16181d" },
  dark: { text: "#101216", muted: "#9aa3af", edge: "#ffffff" },
};
const MATCH = { fill: "#a8127c", text: "#ffffff" };

function hash(text) {
  let h = 2166136261;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619);
  return (h ^ (h >>> 13)) >>> 0;
}

export function kindColour(kind, dark, shade = 1) {
  const [hue, saturation, lightness] = COLOURS[kind] ?? COLOURS.unknown;
  return `hsl(${hue} ${saturation}% ${lightness + (shade - 1.5) * 2 - (dark ? 3 : 0)}%)`;
}

function mutedColour(kind, dark) {
  const [hue, saturation] = COLOURS[kind] ?? COLOURS.unknown;
  return dark ? `hsl(${hue} ${saturation * 0.3}% 24%)` : `hsl(${hue} ${saturation * 0.45}% 92%)`;
}

// Fill styles of every label, strong and muted; made once per tree and theme.
export function palette(tree, dark, paper) {
  const table = tree.kinds.map((kind) => ({
    strong: Array.from({ length: SHADES }, (_, shade) => kindColour(kind, dark, shade)),
    muted: mutedColour(kind, dark),
  }));
  const shades = tree.names.map((name) => hash(name) % SHADES);
  const { name, kind } = tree.labels;
  return {
    paper,
    ink: dark ? INK.dark : INK.light,
    strong: name.map((index, label) => table[kind[label]].strong[shades[index]]),
    muted: kind.map((index) => table[index].muted),
  };
}

export function rowTop(view, depth) {
  const row = view.icicle ? depth : view.rows - 1 - depth;
  const below = view.icicle ? 0 : Math.max(0, view.height - view.rows * ROW);
  return row * ROW + below - view.scroll;
}

export function depthAt(view, y) {
  const below = view.icicle ? 0 : Math.max(0, view.height - view.rows * ROW);
  const row = Math.floor((y + view.scroll - below) / ROW);
  return view.icicle ? row : view.rows - 1 - row;
}

// view: tree, colours, x0, x1, width, height, dpr, scroll, rows, icicle, focus, focusDepth,
//       matches, hover, selected
export function paint(context, view) {
  const { colours, width, height, dpr } = view;
  context.setTransform(dpr, 0, 0, dpr, 0, 0);
  context.fillStyle = colours.paper;
  context.fillRect(0, 0, width, height);
  context.font = FONT;
  context.textBaseline = "middle";
  view.charWidth ||= context.measureText("MMMMMMMMMM").width / 10;
  let drawn = 0;
  for (let depth = 0; depth < view.rows; depth++) {
    const top = rowTop(view, depth);
    if (top + ROW > 0 && top < height) drawn += paintLevel(context, view, depth, top);
  }
  outline(context, view, view.hover, 1);
  outline(context, view, view.selected, 2);
  return drawn;
}

function paintLevel(context, view, depth, top) {
  const { tree, x0, x1, width: w, dpr, matches } = view;
  const { left, width, levels } = tree;
  const scale = w / (x1 - x0);
  const thin = 1 / scale;
  const high = levels[depth + 1];
  let drawn = 0;
  let i = lowerBound(tree, levels[depth], high, x0);
  while (i < high && left[i] < x1) {
    if (width[i] < thin) {
      i = paintSlivers(context, view, i, high, top, scale);
    } else {
      const a = Math.max(0, Math.round((left[i] - x0) * scale * dpr) / dpr);
      const b = Math.min(w, Math.round((left[i] + width[i] - x0) * scale * dpr) / dpr);
      paintNode(context, view, i, depth, a, b - a, top, matches);
      i++;
    }
    drawn++;
  }
  return drawn;
}

function paintNode(context, view, node, depth, x, wide, top, matches) {
  const { tree, colours, charWidth } = view;
  const label = tree.label[node];
  const match = matches !== null && matches.labels[label] === 1;
  const muted = !match && (matches !== null || depth < view.focusDepth);
  context.fillStyle = match ? MATCH.fill : muted ? colours.muted[label] : colours.strong[label];
  context.fillRect(x, top, wide > 3 ? wide - 1 : Math.max(wide, 0.5), ROW - 1);
  const room = Math.floor((wide - 7) / charWidth);
  if (room < 3) return;
  const name = tree.names[tree.labels.name[label]];
  context.fillStyle = match ? MATCH.text : muted ? colours.ink.muted : colours.ink.text;
  const text = name.length <= room ? name : `${name.slice(0, room - 1)}…`;
  context.fillText(text, x + 4, top + ROW / 2);
}

// Draws a run of nodes that share pixels, one pixel at a time; returns the node after it.
function paintSlivers(context, view, node, high, top, scale) {
  const { tree, colours, x0, x1, width: w, matches } = view;
  const { left, width, label } = tree;
  const thin = 1 / scale;
  let style = "";
  let from = 0;
  let to = -1;
  while (node < high && width[node] < thin && left[node] < x1) {
    const pixel = Math.max(0, Math.floor((left[node] - x0) * scale));
    const edge = x0 + (pixel + 1) / scale;
    let step = 1;
    let low = node + 1;
    while (low + step < high && left[low + step] + width[low + step] <= edge) {
      low += step;
      step *= 2;
    }
    const next = lowerBound(tree, low, Math.min(high, low + step + 1), edge);
    const match = matches !== null && matches.before[next] > matches.before[node];
    const plain = matches === null ? colours.strong : colours.muted;
    const wanted = match ? MATCH.fill : plain[label[node]];
    if (wanted !== style || pixel > to) {
      if (to > from) context.fillRect(from, top, to - from, ROW - 1);
      context.fillStyle = style = wanted;
      from = pixel;
    }
    to = Math.min(w, pixel + 1);
    node = next;
  }
  if (to > from) context.fillRect(from, top, to - from, ROW - 1);
  return node;
}

function outline(context, view, node, thickness) {
  if (node < 0) return;
  const { tree, x0, x1, width: w } = view;
  const scale = w / (x1 - x0);
  const a = Math.max(0, (tree.left[node] - x0) * scale);
  const b = Math.min(w, (tree.left[node] + tree.width[node] - x0) * scale);
  if (b < 0 || a > w) return;
  const inset = thickness / 2;
  context.lineWidth = thickness;
  context.strokeStyle = view.colours.ink.edge;
  const top = rowTop(view, view.depthOf(node));
  context.strokeRect(a + inset, top + inset, Math.max(1, b - a - 1 - thickness), ROW - 1 - thickness);
}
