// Everything around the canvas: toolbar, legend, tooltip, menu. No state of its own.
import { humanCount, humanSize, humanTime, make, percent } from "./embed.js";
import { kindOf, kindShares, moduleOf, nameOf } from "./flame_data.js";
import { kindColour } from "./flame_paint.js";

const KEYS = [
  ["click, Enter", "zoom into the frame"],
  ["double click, Esc", "reset the zoom"],
  ["arrow keys", "move to callers, callees and neighbours"],
  ["/", "search (regular expression)"],
  ["c, right click", "copy the name"],
];
const TIME = "ns"; // unit of trees whose weights are times
const BYTES = "bytes"; // and of those whose weights are sizes
const KIND_NAMES = { jit: "JIT", python: "Python", group: "threads" };

// Builds the frame of the view inside `el` and returns its parts by name.
export function build(el, title) {
  const root = make("section", "wb wb-flame", "", { "aria-label": title || "Flamegraph" });
  const bar = make("div", "wb-bar");
  const heading = make("div", "wb-flame-title", title);
  const search = make("input", "wb-input", "", {
    type: "search",
    placeholder: "Search (regular expr.)",
    "aria-label": "Search frames by regular expression",
    spellcheck: "false",
  });
  const figure = make("output", "wb-figure");
  const reset = make("button", "wb-button", "Reset zoom", { type: "button" });
  const flip = make("button", "wb-button", "", { type: "button" });
  const controls = make("div", "wb-controls");
  controls.append(figure, search, reset, flip);
  bar.append(heading, controls);
  const scroller = make("div", "wb-flame-scroll");
  const space = make("div", "wb-flame-space");
  const canvas = make("canvas", "wb-flame-canvas", "", {
    tabindex: "0",
    role: "application",
    "aria-roledescription": "flamegraph",
    "aria-label": `${title || "Flamegraph"}. ${KEYS.map((key) => key.join(": ")).join("; ")}.`,
  });
  space.append(canvas);
  scroller.append(space);
  const tip = make("div", "wb-tip", "", { role: "tooltip", hidden: "" });
  const menu = make("div", "wb-menu", "", { role: "menu", hidden: "" });
  const foot = make("div", "wb-bar wb-flame-foot");
  const legend = make("div", "wb-legend");
  foot.append(legend, keyHelp());
  const where = make("div", "wb-flame-where");
  const live = make("div", "wb-hidden", "", { "aria-live": "polite" });
  const stage = make("div", "wb-flame-stage");
  stage.append(scroller, tip, menu);
  root.append(bar, where, stage, foot, live);
  el.append(root);
  return { root, search, figure, reset, flip, scroller, space, canvas, tip, menu, legend, where, live };
}

function keyHelp() {
  const details = make("details", "wb-keys");
  details.append(make("summary", "", "Keys"));
  const list = make("dl");
  for (const [key, meaning] of KEYS) list.append(make("dt", "", key), make("dd", "", meaning));
  details.append(list);
  return details;
}

export function fillLegend(legend, tree, dark) {
  const total = tree.width[0];
  legend.replaceChildren();
  for (const { kind, weight } of kindShares(tree)) {
    const item = make("span", "wb-legend-item");
    const chip = make("span", "wb-chip");
    chip.style.background = kindColour(kind, dark);
    const name = KIND_NAMES[kind] ?? kind;
    item.append(chip, name);
    if (weight > 0) item.append(" ", make("b", "", percent(weight / total)));
    const all = tree.unit === TIME ? "of the time was" : `of all ${tree.unit} were`;
    item.title = `${percent(weight / total)} ${all} in ${name} code itself`;
    legend.append(item);
  }
}

// "1,234 samples" and, where the period is known, the time that they stand for; or a time.
export function amount(tree, weight) {
  if (tree.unit === TIME) return humanTime(weight);
  if (tree.unit === BYTES) return humanSize(weight);
  const unit = weight === 1 ? tree.unit.replace(/s$/, "") : tree.unit;
  const text = `${humanCount(weight)} ${unit}`;
  return tree.period_ns && weight > 0 ? `${text} ≈ ${humanTime(weight * tree.period_ns)}` : text;
}

export function describe(tree, node) {
  const share = percent(tree.width[node] / tree.width[0]);
  return `${nameOf(tree, node)}: ${amount(tree, tree.width[node])}, ${share} of all`;
}

export function fillTip(tip, tree, node) {
  const total = tree.width[0];
  const parent = tree.parent[node];
  const width = tree.width[node];
  const origin = [KIND_NAMES[kindOf(tree, node)] ?? kindOf(tree, node), moduleOf(tree, node)];
  const rows = [
    ["Total", amount(tree, width), percent(width / total)],
    ["Self", amount(tree, tree.self[node]), percent(tree.self[node] / total)],
  ];
  if (parent > 0) rows.push(["Of caller", "", percent(width / tree.width[parent])]);
  const table = make("dl", "wb-tip-figures");
  for (const [what, count, share] of rows) {
    const value = make("dd", "", count);
    table.append(make("dt", "", what), value, make("dd", "wb-share", share));
  }
  const from = make("div", "wb-tip-from", node === 0 ? "everything" : origin.filter(Boolean).join(" · "));
  tip.replaceChildren(make("div", "wb-tip-name", nameOf(tree, node)), from, table);
}

// Puts a box near a point of its offset parent, inside of it where it fits.
export function place(box, x, y) {
  box.hidden = false;
  const stage = box.offsetParent;
  const gap = 14;
  const left = Math.max(0, Math.min(x + gap, stage.clientWidth - box.offsetWidth - 2));
  const above = y - gap - box.offsetHeight;
  const below = y + gap;
  const fits = below + box.offsetHeight <= stage.clientHeight || above < 0;
  box.style.left = `${left}px`;
  box.style.top = `${fits ? below : above}px`;
}

export function openMenu(menu, entries, x, y) {
  menu.replaceChildren();
  for (const [text, action] of entries) {
    const item = make("button", "wb-menu-item", text, { type: "button", role: "menuitem" });
    item.addEventListener("click", () => {
      menu.hidden = true;
      action();
    });
    menu.append(item);
  }
  place(menu, x - 14, y - 14);
  menu.firstChild.focus();
}

export async function copyText(text, host) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Not allowed here (no secure context, or no permission): the way before the clipboard API.
    const area = make("textarea", "wb-hidden");
    area.value = text;
    host.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
