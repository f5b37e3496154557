// Interactive flamegraph on a canvas, for anywidget and for plain HTML alike.
// Traits of the model: payload (bytes), title, notice, height, focus (node), search, icicle.
import { make, onTheme } from "./embed.js";
import { build } from "./flame_chrome.js";
import { decode } from "./flame_data.js";
import { Flame } from "./flame_view.js";

// Connects events; everything is removed again when the signal aborts.
function connect(flame, signal) {
  const { parts, model } = flame;
  const on = (target, type, handler) => target.addEventListener(type, handler, { signal });
  const offset = (event) => {
    const box = parts.scroller.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  on(parts.canvas, "mousemove", (event) => flame.hover(flame.hit(event), ...offset(event)));
  on(parts.canvas, "mouseleave", () => flame.hover(-1));
  on(parts.canvas, "click", (event) => {
    const node = flame.hit(event);
    parts.menu.hidden = true;
    flame.view.selected = -1;
    if (node >= 0 && event.detail < 2) flame.zoom(node);
  });
  on(parts.canvas, "dblclick", () => flame.zoom(0));
  on(parts.canvas, "contextmenu", (event) => flame.menu(event));
  on(parts.canvas, "keydown", (event) => flame.key(event));
  on(parts.canvas, "blur", () => {
    flame.view.selected = -1;
    flame.hover(-1);
  });
  on(parts.menu, "focusout", (event) => {
    if (!parts.menu.contains(event.relatedTarget)) parts.menu.hidden = true;
  });
  on(parts.menu, "keydown", (event) => {
    if (event.key === "Escape") parts.canvas.focus();
  });
  on(parts.scroller, "scroll", () => {
    flame.view.scroll = parts.scroller.scrollTop;
    flame.schedule();
  });
  on(parts.reset, "click", () => flame.zoom(0));
  on(parts.flip, "click", () => flame.setIcicle(!flame.view.icicle));
  on(parts.search, "input", () => flame.setSearch(parts.search.value));
  on(parts.search, "keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape" && !parts.search.value) parts.canvas.focus();
  });
  onTheme(parts.root, () => flame.applyTheme(), signal);
  const listeners = {
    focus: () => model.get("focus") !== flame.view.focus && flame.zoom(model.get("focus")),
    search: () => flame.setSearch(model.get("search")),
    icicle: () => model.get("icicle") !== flame.view.icicle && flame.setIcicle(model.get("icicle")),
  };
  for (const [name, handler] of Object.entries(listeners)) {
    model.on(`change:${name}`, handler);
    signal.addEventListener("abort", () => model.off(`change:${name}`, handler));
  }
  const observer = new ResizeObserver(() => flame.resize());
  observer.observe(parts.scroller);
  signal.addEventListener("abort", () => observer.disconnect());
}

function render({ model, el }) {
  const stop = new AbortController();
  const parts = build(el, model.get("title") || "");
  const notice = model.get("notice");
  if (notice) parts.root.prepend(make("div", "wb-banner", notice, { role: "alert" }));
  const payload = model.get("payload");
  const bytes = payload instanceof DataView
    ? new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength)
    : payload;
  decode(bytes).then(
    (tree) => {
      if (stop.signal.aborted) return;
      if (!(tree.width[0] > 0)) {
        parts.root.classList.add("wb-empty");
        const why = {
          ns: "No time: no thread was off its CPU in what was selected.",
          bytes: "No memory of that kind in what was selected.",
        };
        parts.where.textContent = why[tree.unit]
          ?? "No samples: nothing was on a CPU in what was selected.";
        return;
      }
      const flame = new Flame(parts, tree, model);
      connect(flame, stop.signal);
      flame.resize();
    },
    (error) => {
      parts.where.textContent = `This flamegraph cannot be shown: ${error.message}`;
    },
  );
  return () => {
    stop.abort();
    parts.root.remove();
  };
}

export default { render };
