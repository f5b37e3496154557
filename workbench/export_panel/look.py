"""How the panel looks: labels of one width, notes, its style."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ipywidgets

from workbench.views import html

WIDE = {"width": "auto", "max_width": "860px"}
_LABEL = {"description_width": "92px"}


def field(kind: Any, label: str, **options: Any) -> Any:
    """Return a widget with a label, as wide as there is room."""
    options.setdefault("layout", ipywidgets.Layout(**WIDE))
    return kind(description=label, style=_LABEL, **options)


def head(text: str) -> Any:
    """Return the title of a part of the panel."""
    return ipywidgets.HTML(f'<div class="wb-export-head">{html.escape(text)}</div>')


def note(text: str = "") -> Any:
    """Return a line in small print; its value is HTML."""
    made = ipywidgets.HTML(text)
    made.add_class("wb-export-note")
    return made


def style() -> Any:
    """Return what brings the style: that of all views, and that of the panel."""
    own = Path(__file__).with_name("panel.css").read_text(encoding="utf-8")
    made = ipywidgets.HTML(f"<style>{html.css()}{own}</style>")
    made.layout.display = "none"
    return made


def show(widget: Any, visible: bool) -> None:
    """Show or hide a widget."""
    widget.layout.display = None if visible else "none"
