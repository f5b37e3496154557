from __future__ import annotations

import re
from pathlib import Path

import ipywidgets

from workbench.export_panel import look, static


def test_fields_have_labels_and_can_be_hidden():
    made = look.field(ipywidgets.Text, "File", value="x")
    assert (made.description, made.value, made.layout.max_width) == (
        "File",
        "x",
        look.WIDE["max_width"],
    )
    look.show(made, False)
    assert made.layout.display == "none"
    look.show(made, True)
    assert made.layout.display is None
    assert look.note("<b>a</b>").value == "<b>a</b>"


def test_every_class_that_is_used_has_a_style():
    """And the style fetches nothing."""
    folder = Path(look.__file__).parent
    css = look.style().value + static.fragment("", "", "", "")
    used = set()
    for file in (*folder.glob("*.py"), *folder.glob("*.js")):
        used |= set(re.findall(r"wb-export[\w-]*", file.read_text()))
    assert {name for name in used if f".{name}" not in css} == set()
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", css)
