"""The command line that does the same as the panel, with a button that copies it."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets


class CommandLine(anywidget.AnyWidget):
    """Shows a command line.

    Attributes
    ----------
    command : str
        What is shown and copied.
    why : str
        What is shown instead where there is none.
    panel : str
        Number of the panel's model, which hides what stands for it on pages without a kernel.
    """

    _esm = Path(__file__).with_name("command_line.js")
    command = traitlets.Unicode().tag(sync=True)
    why = traitlets.Unicode().tag(sync=True)
    panel = traitlets.Unicode().tag(sync=True)
