"""Which file is written: a name beside the session's, until the user writes one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets

from workbench.export_panel.look import field, note, show
from workbench.exporting import SEND, Export
from workbench.formats import writable
from workbench.recording import Recording
from workbench.views.html import escape


class FileForm:
    """Widgets for the file.

    Parameters
    ----------
    rec : Recording
        Its name is that of the file, with the format's suffix, in the notebook's folder.
    output : str
        A name that stays when the format changes, or ``""``.
    changed : callable
        Called when the name was changed.
    """

    def __init__(self, rec: Recording, output: str, changed: Callable[[], object]) -> None:
        self._session = rec.path.name
        self._changed = changed
        self.entry = field(ipywidgets.Text, "File", value=output)
        self._own = output != ""
        self.note = note()
        self.widget = ipywidgets.VBox([self.entry, self.note])
        self.entry.observe(self._other, "value")
        self.look()

    @property
    def name(self) -> str:
        """The file that is named, ``""`` for none."""
        return str(self.entry.value.strip())

    def follow(self, format: str) -> None:
        """Name the file as is usual for a format, unless the user has named it."""
        if format != SEND and not self._own:
            self.entry.value = self._usual(format)
            self._own = False
        self.look()

    def look(self) -> None:
        """Say what is at that place."""
        path = Path(self.name)
        text = ""
        if not self.name:
            text = "Name a file."
        elif path.is_dir():
            text = f"{path} is a folder: name a file in it."
        elif not path.parent.is_dir():
            text = f"There is no folder {path.parent}: make it, or name another."
        elif path.is_file():
            text = "An existing file, which is replaced."
        self.note.value = escape(text)
        show(self.note, bool(text))

    def _usual(self, format: str) -> str:
        return Export(format=format).beside(self._session)

    def _other(self, change: Any) -> None:
        """Remember whether the name is the user's own: then it stays when the format changes."""
        self._own = change.new not in {"", *map(self._usual, writable())}
        self.look()
        self._changed()
