"""In which format a session is written, and which of its tables."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets

from workbench.errors import WorkbenchError
from workbench.export_panel.look import field, note, show
from workbench.exporting import SEND, unfit, usual
from workbench.formats import writable
from workbench.recording import Recording
from workbench.views.html import escape


class FormatForm:
    """Widgets for the format and, where it holds one, the table.

    Parameters
    ----------
    rec : Recording
        What is exported.
    format : str
        Of :func:`workbench.formats.writable`, or ``otlp``; ``""`` for one that holds most of it.
    table : str, optional
        What is chosen at first, where the format takes it.
    changed : callable
        Called with whether it is the format that was changed.
    """

    def __init__(
        self, rec: Recording, format: str, table: str | None, changed: Callable[[bool], object]
    ) -> None:
        self._rec = rec
        self._changed = changed
        first = format or ("perfetto" if unfit(rec, "pprof") else "pprof")
        self.chosen = field(ipywidgets.Dropdown, "Format", options=format_choices(), value=first)
        self.tables = field(ipywidgets.Dropdown, "Table")
        self.trouble = note()
        self.widget = ipywidgets.VBox([self.chosen, self.trouble, self.tables])
        self._follow(table)
        self.chosen.observe(self._other, "value")
        self.tables.observe(lambda _: changed(False), "value")

    @property
    def name(self) -> str:
        """The format."""
        return str(self.chosen.value)

    @property
    def sends(self) -> bool:
        """Whether it goes to a receiver and not to a file."""
        return self.name == SEND

    @property
    def table(self) -> str | None:
        """The table that is named."""
        return self.tables.value or None

    @property
    def fits(self) -> bool:
        """Whether the session has anything that the format can hold."""
        return not self.trouble.value

    def _other(self, _: object) -> None:
        self._follow(self.table)
        self._changed(True)

    def _follow(self, table: str | None) -> None:
        """Show the tables that the format takes; the one that was chosen stays if it is there."""
        takes = None if self.sends else writable()[self.name].tables
        names = [] if takes is None else list(takes(self._rec))
        self.tables.options = [(usual(self._rec, self.name), ""), *((n, n) for n in names)]
        self.tables.value = table if table in names else ""
        show(self.tables, len(names) > 1)
        error = unfit(self._rec, self.name)
        self.trouble.value = "" if error is None else _alert(error)
        show(self.trouble, error is not None)


def _alert(error: WorkbenchError) -> str:
    return f'<span role="alert">{escape(error.what)} {escape(error.advice)}</span>'


def format_choices() -> list[tuple[str, str]]:
    """Return the formats with their meanings, sending to a receiver last."""
    found = [(f"{each.name}: {each.meaning}", each.name) for each in writable().values()]
    return [*found, (f"{SEND}: send to a receiver (OpenTelemetry Collector, ...)", SEND)]
