// The call tree as typed arrays. Written by views/payload.py, which says what is where.
import { inflate } from "./embed.js";

// Joins byte planes (all lowest bytes, then all second bytes, ...) to numbers up to 2^53.
function join(bytes, at, n, planes, Type) {
  const out = new Type(n);
  for (let plane = 0, scale = 1; plane < planes; plane++, scale *= 256) {
    const from = at + plane * n;
    for (let i = 0; i < n; i++) out[i] += bytes[from + i] * scale;
  }
  return out;
}

// Columns that follow from the number of children: nodes are in breadth-first order.
function derive(tree) {
  const { n, width, children } = tree;
  const parent = new Int32Array(n).fill(-1);
  const left = new Float64Array(n);
  const self = new Float64Array(n);
  const first = new Uint32Array(n);
  for (let i = 0, child = 1; i < n; i++) {
    const stop = Math.min(n, child + children[i]);
    let x = left[i];
    first[i] = child;
    for (; child < stop; child++) {
      parent[child] = i;
      left[child] = x;
      x += width[child];
    }
    self[i] = width[i] - (x - left[i]);
  }
  return Object.assign(tree, { parent, left, self, first });
}

export async function decode(bytes) {
  const buffer = await inflate(bytes);
  const headerLength = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, headerLength)));
  const body = new Uint8Array(buffer, 4 + headerLength);
  const { n } = header;
  const types = { label: Uint32Array, width: Float64Array, children: Uint32Array };
  const tree = { ...header };
  let at = 0;
  for (const [name, planes] of header.planes) {
    tree[name] = join(body, at, n, planes, types[name]);
    at += planes * n;
  }
  return derive(tree);
}

export const nameOf = (tree, node) => tree.names[tree.labels.name[tree.label[node]]];
export const moduleOf = (tree, node) => tree.modules[tree.labels.module[tree.label[node]]];
export const kindOf = (tree, node) => tree.kinds[tree.labels.kind[tree.label[node]]];

export function depthOf(tree, node) {
  let low = 0;
  let high = tree.levels.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (tree.levels[middle] <= node) low = middle;
    else high = middle;
  }
  return low;
}

// First node in [low, high) of one level whose right edge is beyond x.
export function lowerBound(tree, low, high, x) {
  const { left, width } = tree;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (left[middle] + width[middle] > x) high = middle;
    else low = middle + 1;
  }
  return low;
}

export function nodeAt(tree, depth, x) {
  if (depth < 0 || depth >= tree.levels.length - 1) return -1;
  const high = tree.levels[depth + 1];
  const node = lowerBound(tree, tree.levels[depth], high, x);
  return node < high && tree.left[node] <= x ? node : -1;
}

// Number of levels that have nodes between the weights x0 and x1.
export function levelsWithin(tree, x0, x1) {
  let low = 1;
  let high = tree.levels.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    const node = lowerBound(tree, tree.levels[middle], tree.levels[middle + 1], x0);
    if (node < tree.levels[middle + 1] && tree.left[node] < x1) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function pathOf(tree, node) {
  const path = [];
  for (let i = node; i >= 0; i = tree.parent[i]) path.push(i);
  return path.reverse();
}

// Weight of every kind's own (self) samples, heaviest first; kinds without nodes are left out.
export function kindShares(tree) {
  const weight = new Float64Array(tree.kinds.length);
  const seen = new Uint8Array(tree.kinds.length);
  for (let i = 0; i < tree.n; i++) {
    const kind = tree.labels.kind[tree.label[i]];
    weight[kind] += tree.self[i];
    seen[kind] = 1;
  }
  return tree.kinds
    .map((kind, index) => ({ kind, weight: weight[index], seen: seen[index] }))
    .filter((entry) => entry.seen)
    .sort((a, b) => b.weight - a.weight);
}

// What a regular expression finds: per label, per node (as running count), and in weight.
// A match below another match is in that one's weight already.
export function findMatches(tree, pattern) {
  const names = tree.names.map((name) => pattern.test(name));
  const labels = Uint8Array.from(tree.labels.name, (name) => (names[name] ? 1 : 0));
  const before = new Uint32Array(tree.n + 1);
  const covered = new Uint8Array(tree.n);
  let weight = 0;
  for (let i = 0; i < tree.n; i++) {
    const match = labels[tree.label[i]];
    const above = i > 0 && covered[tree.parent[i]];
    if (match && !above) weight += tree.width[i];
    covered[i] = match || above ? 1 : 0;
    before[i + 1] = before[i] + match;
  }
  return { labels, before, weight, count: before[tree.n] };
}
