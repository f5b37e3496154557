"""Parts of self-contained HTML: escaping, styles, scripts, data, files of their own.

A view is a *fragment*: one ``<div>`` with a fallback for pages that run no scripts, its data
as base64 of gzip and an inline script. Names from traced programs travel only inside the data
and are set as text by the script, so they are never parsed as HTML.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
import uuid
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

STATIC = Path(__file__).parent / "static"

_IMPORT = re.compile(r'^import [^;]*? from "\./(?P<name>[\w.]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function|const|class)", re.MULTILINE)

# Only what a view is made of may run, and nothing may be fetched.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)


def escape(text: object) -> str:
    """Return text that is safe inside an element and inside a quoted attribute."""
    return html.escape(str(text), quote=True)


@cache
def css() -> str:
    """Return the stylesheet of all views."""
    return (STATIC / "workbench.css").read_text(encoding="utf-8")


@cache
def bundle(name: str) -> str:
    """Return a module of ``views/static`` as one ES module with its imports inlined.

    The parts share one scope, so top-level names are unique among them (a clash is a syntax
    error that every browser test sees).

    Parameters
    ----------
    name : str
        Such as "flamegraph.js".
    """
    return "".join(_parts(name, set()))


def _parts(name: str, seen: set[str]) -> list[str]:
    if name in seen:
        return []
    seen.add(name)
    source = (STATIC / name).read_text(encoding="utf-8")
    parts = []
    for found in _IMPORT.finditer(source):
        parts += _parts(found["name"], seen)
    return [*parts, _EXPORT.sub("", _IMPORT.sub("", source))]


def inline_module(name: str) -> str:
    """Return a module as a JavaScript expression: its default export.

    Unlike ``<script type="module">`` it needs no URL, and unlike a plain script it leaves no
    global names behind.
    """
    body = bundle(name).replace("export default", "return")
    if "</script" in body.lower() or "<!--" in body:
        raise AssertionError(f"{name} cannot be put inside a script element")
    return f"(() => {{\n{body}\n}})()"


def pack(data: bytes) -> bytes:
    """Return data as gzip, the same bytes for the same data."""
    return gzip.compress(data, compresslevel=6, mtime=0)


def base64_text(data: bytes) -> str:
    """Return bytes as ASCII text that needs no escaping in HTML or JavaScript."""
    return base64.b64encode(data).decode("ascii")


def script_json(value: Any) -> str:
    """Return JSON that may stand inside a script element.

    ``<``, ``>`` and ``&`` are escaped, so neither ``</script>`` nor ``<!--`` can occur, and so
    are the two line separators that JavaScript once did not allow in strings.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def fragment(
    module: str, state: Mapping[str, Any], data: Mapping[str, bytes], fallback: str
) -> str:
    """Return a view as a piece of HTML that runs anywhere.

    Parameters
    ----------
    module : str
        Module of ``views/static`` whose default export has ``render({model, el})``.
    state : mapping
        What the model holds: values that JSON knows.
    data : mapping of str to bytes
        What the model holds as Uint8Array.
    fallback : str
        HTML that stays where scripts do not run (an untrusted notebook, a preview).
    """
    identity = f"wb-{uuid.uuid4().hex}"
    packed = ", ".join(f'{json.dumps(key)}: "{base64_text(value)}"' for key, value in data.items())
    return f"""<div class="wb-view" id="{identity}">
<style>{css()}</style>
<div class="wb wb-fallback">{fallback}</div>
<script>
(() => {{
const script = document.currentScript;
const host = script?.closest?.(".wb-view") ?? document.getElementById("{identity}");
const view = {inline_module(module)};
const bytes = (text) => Uint8Array.fromBase64
  ? Uint8Array.fromBase64(text) : Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const state = {script_json(dict(state))};
for (const [key, text] of Object.entries({{{packed}}})) state[key] = bytes(text);
const model = {{
  get: (key) => state[key], set: (key, value) => {{ state[key] = value; }},
  save_changes() {{}}, on() {{}}, off() {{}},
}};
host.querySelector(".wb-fallback").remove();
const el = document.createElement("div");
host.append(el);
view.render({{ model, el }});
script?.remove();
}})();
</script>
</div>"""


def page(title: str, body: str) -> str:
    """Return a whole HTML document that fetches nothing.

    Parameters
    ----------
    title : str
        Plain text.
    body : str
        HTML, such as fragments.
    """
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="ebpf-workbench">
<title>{escape(title)}</title>
<style>{css()}
body {{ margin: 0; color-scheme: light dark; background: light-dark(#ffffff, #14171c); }}</style>
</head>
<body class="wb-page">
{body}
</body>
</html>
"""


def save(text: str, path: str | Path) -> Path:
    """Write a document; a file that is there is replaced only when all is written.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    from workbench.errors import StorageError
    from workbench.store.guard import is_special

    path = Path(path)
    if is_special(path):
        raise StorageError(f"{path} is no place for a page.", advice="Name a file.")
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StorageError(f"Cannot write {path}.", why=str(error)) from error
    return path
