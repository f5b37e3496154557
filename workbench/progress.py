"""The progress bar of a capture: on a terminal, in a notebook, or none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Progress:
    """Takes the recorder's messages; this one shows nothing.

    Parameters
    ----------
    duration : float, optional
        Seconds that the capture is to take.
    """

    def __init__(self, duration: float | None) -> None:
        self.duration = duration
        self._rows = 0
        self._elapsed = 0.0
        self._rate = 0.0

    def update(self, message: dict[str, Any]) -> None:
        """Show the state that a ``progress`` or ``saving`` message tells."""
        if message and message["elapsed"] > self._elapsed:
            gained = message["rows"] - self._rows
            self._rate = gained / (message["elapsed"] - self._elapsed)
            self._rows, self._elapsed = message["rows"], message["elapsed"]

    def text(self, message: dict[str, Any]) -> str:
        """``1,234,567 rows · 2,000,000/s · 0 dropped · 3 s left``."""
        parts = [f"{message['rows']:,} rows", f"{self._rate:,.0f}/s"]
        parts.append(f"{message['dropped']:,} dropped")
        if message["event"] == "saving":
            parts.append("saving")
        elif self.duration is not None:
            parts.append(f"{max(0.0, self.duration - message['elapsed']):.0f} s left")
        else:
            parts.append(f"{message['elapsed']:.0f} s")
        return " · ".join(parts)

    def done(self, message: dict[str, Any], result: dict[str, Any]) -> None:
        """Show how it ended."""


class TerminalProgress(Progress):
    """A bar on standard error."""

    def __init__(self, duration: float | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn
        from rich.progress import Progress as Bar

        super().__init__(duration)
        columns = (SpinnerColumn(), BarColumn(bar_width=24), TextColumn("{task.description}"))
        self.bar = Bar(*columns, console=Console(stderr=True), transient=True)
        self._task = self.bar.add_task("starting", total=duration)

    def update(self, message: dict[str, Any]) -> None:
        """Move the bar."""
        super().update(message)
        if message:
            done = message["elapsed"] if self.duration is not None else None
            self.bar.update(self._task, completed=done, description=self.text(message))


class NotebookProgress(Progress):
    """A line of HTML in the cell, replaced in place and at the end by how it ended."""

    def __init__(self, duration: float | None) -> None:
        from IPython.display import HTML, display

        super().__init__(duration)
        self._html = HTML
        self._handle = display(HTML("<i>Starting the capture …</i>"), display_id=True)
        self._shown = ""

    def update(self, message: dict[str, Any]) -> None:
        """Redraw the line if it has changed."""
        super().update(message)
        if not message:
            return
        text = self.text(message)
        if text != self._shown:
            self._shown = text
            bar = f'max="{self.duration}" value="{message["elapsed"]:.2f}"' if self.duration else ""
            self._handle.update(self._html(f"<progress {bar}></progress> {text}"))

    def done(self, message: dict[str, Any], result: dict[str, Any]) -> None:
        """Leave one line."""
        from html import escape

        rows, dropped = message.get("rows", 0), message.get("dropped", 0)
        lost = f", <b>{dropped:,} dropped</b>" if dropped else ", nothing dropped"
        text = f"Captured {rows:,} rows{lost}: {escape(result['reason'])}."
        self._handle.update(self._html(f"<span>{text}</span>"))


def in_notebook() -> bool:
    """Whether this runs in a Jupyter kernel; imports nothing that is not there already."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and shell.__class__.__name__ == "ZMQInteractiveShell"


@contextmanager
def show(wanted: bool | None, duration: float | None) -> Iterator[Progress]:
    """Give the progress display that fits the place, for the length of a block."""
    if wanted is not False and in_notebook():
        yield NotebookProgress(duration)
    elif wanted or (wanted is None and sys.stderr is not None and sys.stderr.isatty()):
        terminal = TerminalProgress(duration)
        with terminal.bar:
            yield terminal
    else:
        yield Progress(duration)
