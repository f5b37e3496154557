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

// Words are not broken at their hyphens.
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

  let timer = 0;
  const update = () => {
    const text = model.get("command") || model.get("why");
    code.replaceChildren(...text.split(/( )/).map(part));
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
    model.off("change:command", update);
    model.off("change:why", update);
  };
}

export default { render };
