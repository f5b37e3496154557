// What the flamegraph shows and how it reacts: zoom, search, selection, theme.
import { humanCount, make, percent } from "./embed.js";
import { amount, copyText, describe, fillLegend, fillTip, openMenu, place } from "./flame_chrome.js";
import { depthOf, findMatches, levelsWithin, lowerBound, nameOf, nodeAt, pathOf } from "./flame_data.js";
import { ROW, depthAt, paint, palette, rowTop } from "./flame_paint.js";

function isDark(element) {
  // The stylesheet sets the outline's colour to black in light themes and to white in dark ones.
  return getComputedStyle(element).outlineColor === "rgb(255, 255, 255)";
}

export class Flame {
  constructor(parts, tree, model) {
    Object.assign(this, { parts, tree, model, pending: false, scheme: null });
    this.context = parts.canvas.getContext("2d", { alpha: false });
    this.view = {
      tree, x0: 0, x1: Math.max(1, tree.width[0]), width: 1, height: 1, dpr: 1, scroll: 0,
      rows: 1, icicle: Boolean(model.get("icicle")), focus: 0, focusDepth: 0,
      matches: null, hover: -1, selected: -1, depthOf: (node) => depthOf(tree, node),
    };
    const levels = tree.levels.length - 1;
    parts.scroller.style.height = `${Math.min(levels * ROW, model.get("height") || 560)}px`;
    this.applyTheme();
    this.setIcicle(this.view.icicle);
    this.zoom(Math.min(tree.n - 1, Math.max(0, model.get("focus") | 0)));
    this.setSearch(model.get("search") || "");
  }

  applyTheme() {
    const dark = isDark(this.parts.root);
    const paper = getComputedStyle(this.parts.root).backgroundColor;
    if (this.scheme === `${dark} ${paper}`) return;
    this.scheme = `${dark} ${paper}`;
    this.view.colours = palette(this.tree, dark, paper);
    fillLegend(this.parts.legend, this.tree, dark);
    this.schedule();
  }

  tell(name, value) {
    if (this.model.get(name) === value) return;
    this.model.set(name, value);
    this.model.save_changes();
  }

  schedule() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.pending = false;
    const start = performance.now();
    const { canvas } = this.parts;
    if (!canvas.isConnected) return; // gone, or a cell out of view: resize() draws it later
    canvas.dataset.drawn = paint(this.context, this.view);
    canvas.dataset.ms = (performance.now() - start).toFixed(2);
    canvas.dataset.paints = Number(canvas.dataset.paints || 0) + 1;
  }

  resize() {
    const { scroller, canvas, space } = this.parts;
    if (!scroller.clientWidth) return;
    const { view } = this;
    const atBottom = !view.icicle && space.offsetHeight - view.scroll - view.height < 2;
    view.dpr = window.devicePixelRatio || 1;
    view.width = scroller.clientWidth;
    view.height = scroller.clientHeight;
    canvas.width = Math.round(view.width * view.dpr);
    canvas.height = Math.round(view.height * view.dpr);
    canvas.style.height = `${view.height}px`;
    this.layout();
    if (atBottom) this.scrollTo(Infinity);
    this.applyTheme();
    this.draw();
  }

  layout() {
    const { view } = this;
    view.rows = levelsWithin(this.tree, view.x0, view.x1);
    this.parts.space.style.height = `${Math.max(view.height, view.rows * ROW)}px`;
    view.scroll = this.parts.scroller.scrollTop;
  }

  scrollTo(top) {
    this.parts.scroller.scrollTop = Math.min(top, this.parts.space.offsetHeight);
    this.view.scroll = this.parts.scroller.scrollTop;
  }

  reveal(node) {
    const { view } = this;
    const top = rowTop(view, depthOf(this.tree, node));
    if (top < 0) this.scrollTo(view.scroll + top);
    else if (top + ROW > view.height) this.scrollTo(view.scroll + top + ROW - view.height);
  }

  zoom(node) {
    const { view, tree, parts } = this;
    if (!(tree.width[node] > 0)) node = 0;
    view.focus = node;
    view.focusDepth = depthOf(tree, node);
    view.x0 = tree.left[node];
    view.x1 = tree.left[node] + Math.max(tree.width[node], Number.MIN_VALUE);
    this.hover(-1);
    this.layout();
    this.reveal(node);
    parts.reset.disabled = node === 0;
    this.showWhere(node);
    this.tell("focus", node);
    this.schedule();
  }

  showWhere(node) {
    const { where } = this.parts;
    const path = pathOf(this.tree, node);
    where.replaceChildren();
    for (const step of path.length > 6 ? [...path.slice(0, 2), -1, ...path.slice(-3)] : path) {
      if (where.childNodes.length) where.append(make("span", "wb-sep", "›"));
      if (step < 0) where.append(make("span", "", "…"));
      else if (step === node) where.append(make("b", "", nameOf(this.tree, step)));
      else {
        const button = make("button", "wb-link", nameOf(this.tree, step), { type: "button" });
        button.addEventListener("click", () => this.zoom(step));
        where.append(button);
      }
    }
    const share = node ? `, ${percent(this.tree.width[node] / this.tree.width[0])} of all` : "";
    where.append(make("span", "wb-muted", ` ${amount(this.tree, this.tree.width[node])}${share}`));
  }

  setIcicle(icicle) {
    const { parts, view } = this;
    view.icicle = icicle;
    parts.flip.textContent = icicle ? "Flame ↑" : "Icicle ↓";
    parts.flip.title = icicle ? "Put callers below" : "Put callers on top";
    this.scrollTo(icicle ? 0 : Infinity);
    this.tell("icicle", icicle);
    this.schedule();
  }

  setSearch(text) {
    const { parts, view } = this;
    view.matches = null;
    parts.search.setCustomValidity("");
    parts.figure.textContent = "";
    if (parts.search.value !== text) parts.search.value = text;
    if (text) this.search(text);
    parts.search.setAttribute("aria-invalid", String(!parts.search.validity.valid));
    this.tell("search", text);
    this.schedule();
  }

  search(text) {
    const { parts, view, tree } = this;
    try {
      view.matches = findMatches(tree, new RegExp(text, "iu"));
    } catch (error) {
      parts.search.setCustomValidity(String(error.message));
      parts.figure.textContent = "not a regular expression";
      return;
    }
    const { count, weight } = view.matches;
    const frames = `${humanCount(count)} frame${count === 1 ? "" : "s"}`;
    parts.figure.textContent = count ? `${percent(weight / tree.width[0])} in ${frames}` : "no match";
  }

  hit(event) {
    const box = this.parts.canvas.getBoundingClientRect();
    const { view } = this;
    const depth = depthAt(view, event.clientY - box.top);
    const x = view.x0 + ((event.clientX - box.left) / box.width) * (view.x1 - view.x0);
    return depth < view.rows ? nodeAt(this.tree, depth, x) : -1;
  }

  hover(node, x = 0, y = 0) {
    const { tip } = this.parts;
    if (node !== this.view.hover) {
      this.view.hover = node;
      if (node >= 0) fillTip(tip, this.tree, node);
      this.schedule();
    }
    if (node < 0) tip.hidden = true;
    else place(tip, x, y);
  }

  select(node) {
    const { view, tree, parts } = this;
    view.selected = node;
    this.reveal(node);
    this.view.hover = -1;
    const scale = view.width / (view.x1 - view.x0);
    const left = Math.max(0, (tree.left[node] - view.x0) * scale);
    this.hover(node, left, rowTop(view, depthOf(tree, node)) + ROW / 2);
    parts.live.textContent = describe(tree, node);
    this.schedule();
  }

  // Returns the node that an arrow key leads to from the selected one.
  neighbour(key) {
    const { view, tree } = this;
    const node = view.selected;
    const depth = depthOf(tree, node);
    if (key === "Home") return 0;
    if (key === "ArrowLeft" || key === "ArrowRight") {
      const next = node + (key === "ArrowRight" ? 1 : -1);
      const inLevel = next >= tree.levels[depth] && next < tree.levels[depth + 1];
      const right = tree.left[next] + tree.width[next];
      return inLevel && right > view.x0 && tree.left[next] < view.x1 ? next : node;
    }
    const toCaller = (key === "ArrowUp") === view.icicle;
    if (toCaller) return Math.max(0, tree.parent[node]);
    if (depth < view.focusDepth) {
      const high = tree.levels[depth + 2];
      return lowerBound(tree, tree.levels[depth + 1], high, view.x0);
    }
    return tree.children[node] ? tree.first[node] : node;
  }

  key(event) {
    const { view } = this;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const current = view.selected >= 0 ? view.selected : view.focus;
    const actions = {
      Enter: () => this.zoom(current),
      " ": () => this.zoom(current),
      Escape: () => this.zoom(0),
      "/": () => this.parts.search.focus(),
      c: () => this.copy(view.hover >= 0 ? view.hover : current),
    };
    const moves = ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Home"];
    if (moves.includes(event.key)) this.select(view.selected < 0 ? view.focus : this.neighbour(event.key));
    else if (actions[event.key]) actions[event.key]();
    else return;
    event.preventDefault();
    event.stopPropagation(); // notebooks have their own meaning for these keys
  }

  async copy(node, text = nameOf(this.tree, node)) {
    const done = await copyText(text, this.parts.root);
    this.parts.live.textContent = done ? `Copied: ${text}` : "The browser does not allow copying.";
    this.parts.figure.textContent = done ? "copied" : "copying is not allowed";
  }

  menu(event) {
    const node = this.hit(event);
    if (node < 0) return;
    event.preventDefault();
    this.hover(-1);
    const name = nameOf(this.tree, node);
    const box = this.parts.scroller.getBoundingClientRect();
    const entries = [
      ["Copy name", () => this.copy(node)],
      ["Copy stack", () => this.copy(node, pathOf(this.tree, node).map((i) => nameOf(this.tree, i)).join(";"))],
      ["Search for this name", () => this.setSearch(`^${name.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")}$`)],
    ];
    openMenu(this.parts.menu, entries, event.clientX - box.left, event.clientY - box.top);
  }
}
