// The command line that does the same as the panel, with a button that copies it.

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Pages that are not served securely have no clipboard; this old way still works there.
    const area = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

// Live pages show the panel, others what stands for it: the reverse is hidden.
async function choose(model) {
  const id = model.get("panel");
  const style = document.createElement("style");
  let alive = true;
  try {
    alive = (await model.widget_manager.get_model(id)).comm_live !== false;
  } catch {
    // Not a manager of ipywidgets: that it runs this is a good sign.
  }
  const other = `[data-wb-panel="${id}"]`;
  if (alive) {
    style.textContent = `${other}, .jp-OutputArea-child:has(${other}) { display: none !important; }`;
  } else if (document.querySelector(other)) {
    style.textContent = `.wb-export-${id} { display: none !important; }`;
  }
  document.head.append(style);
  return style;
}

// The handles of ipywidgets' sliders have no names; they may be drawn later than this.
function nameHandles(id, tries = 50) {
  const handles = document.querySelectorAll(`.wb-export-${id} .noUi-handle`);
  handles.forEach((handle, at) => handle.setAttribute("aria-label", at % 2 ? "To, s" : "From, s"));
  if (!handles.length && tries) setTimeout(() => nameHandles(id, tries - 1), 100);
}

// Words are not broken at their hyphens, nor flags from their values.
function part(text) {
  if (text === " ") return text;
  return Object.assign(document.createElement("span"), { textContent: text });
}

function render({ model, el }) {
  const box = document.createElement("div");
  box.className = "wb wb-export-command";
  const code = document.createElement("pre");
  code.tabIndex = 0;
  code.setAttribute("aria-label", "Command line");
  const button = document.createElement("button");
  button.className = "wb-button";
  button.type = "button";
  const status = document.createElement("span");
  status.className = "wb-hidden";
  status.setAttribute("role", "status");
  box.append(code, button, status);
  el.append(box);

  const chosen = model.get("panel") ? choose(model) : null;
  if (chosen) nameHandles(model.get("panel"));

  let timer = 0;
  const update = () => {
    const text = model.get("command") || model.get("why");
    code.replaceChildren(...(text.match(/-o [^ ]+|[^ ]+| /g) ?? []).map(part));
    button.hidden = !model.get("command");
    button.textContent = "Copy";
    status.textContent = "";
  };
  button.addEventListener("click", async () => {
    const done = await copy(model.get("command"));
    button.textContent = done ? "Copied" : "Not copied";
    status.textContent = done ? "The command line was copied." : "It could not be copied.";
    clearTimeout(timer);
    timer = setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  model.on("change:command", update);
  model.on("change:why", update);
  update();
  return () => {
    clearTimeout(timer);
    chosen?.then(style => style.remove());
    model.off("change:command", update);
    model.off("change:why", update);
  };
}

export default { render };
