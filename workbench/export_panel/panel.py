"""The panel itself: what, how, where to; progress; what became of it; the same as a command."""

from __future__ import annotations

import threading
from typing import Any

import ipywidgets

from workbench.errors import ExportError, QueryError
from workbench.export_panel import outcome, static
from workbench.export_panel.activity import Activity
from workbench.export_panel.command_line import CommandLine
from workbench.export_panel.file_form import FileForm
from workbench.export_panel.format_form import FormatForm
from workbench.export_panel.look import head, show, style
from workbench.export_panel.part_form import PartForm
from workbench.export_panel.receiver_form import ReceiverForm
from workbench.exporting import SEND, SETTINGS, Export, Progress, remark
from workbench.formats.otlp.signals import require
from workbench.part import Part, part_of
from workbench.recording import Recording

_OTLP = ("google.protobuf", "opentelemetry.proto")
_KNOWN = {"format", "table", "output", "signals", "headers", *SETTINGS} - {"timeout"}


class ExportPanel(ipywidgets.VBox):
    """Exports a session, or a part of it, from a notebook.

    Parameters
    ----------
    rec : Recording
        The session; its selection is what is chosen at first.
    format : str
        One of :func:`workbench.formats.writable`, or ``otlp`` to send to a receiver; by default
        pprof where the session has stacks, else perfetto.
    **settings
        What is shown at first: ``table``, ``output``, ``signals``, ``endpoint``, ``protocol``,
        ``headers``, ``compression``, ``certificate``, ``client_key``, ``client_certificate``,
        ``insecure``.

    Raises
    ------
    ExportError
        There is no such format or setting.
    """

    def __init__(self, rec: Recording, format: str = "", **settings: Any) -> None:
        if unknown := settings.keys() - _KNOWN:
            raise ExportError(
                f"The panel has no {', '.join(sorted(unknown))}.",
                advice=f"Settings: {', '.join(sorted(_KNOWN))}",
            )
        if format:
            Export(format=format).beside("")  # or there is no such format
        self._rec = rec
        self._ready = False
        self._format = FormatForm(rec, format, settings.get("table"), self._other)
        self._part = PartForm(rec, self._changed)
        self._receiver = ReceiverForm(settings, self._changed)
        self._file = FileForm(rec, str(settings.get("output") or ""), self._changed)
        self._activity = Activity()
        self._activity.export.on_click(lambda _: self.start())
        self._activity.test.on_click(lambda _: self.test())
        self._command = CommandLine()
        super().__init__(self._arranged())
        self._command.panel = self.model_id
        self.add_class("wb-export")
        self.add_class(f"wb-export-{self.model_id}")
        self._ready = True
        self._other(True)

    @property
    def result(self) -> Any:
        """What became of the last export or test of a connection.

        Path, SendReport, ConnectionReport, WorkbenchError, or None while there is nothing.
        """
        return self._activity.result

    @property
    def export(self) -> Export:
        """What the panel says now, without the part of the session."""
        sends = self._format.sends
        return Export(
            format=self._format.name,
            table=None if sends else self._format.table,
            output="" if sends else self._file.name,
            signals=self._receiver.signals,
            options=self._receiver.options if sends else {},
        )

    @property
    def part(self) -> Part:
        """The part of the session that the panel says now."""
        return self._part.part

    @property
    def command(self) -> str:
        """The command line that does the same, ``""`` where none can."""
        return str(self._command.command)

    def start(self) -> None:
        """Begin the export, as the button does."""
        export, part = self.export, self.part

        def work(progress: Progress, cancel: threading.Event) -> Any:
            if export.format == SEND and not export.signals:
                raise ExportError("No signal is chosen.", advice="Mark at least one.")
            return export.run(part.of(self._part.base), progress, cancel)

        self._activity.begin(
            work, lambda: remark(part.of(self._part.base), export.format, export.table)
        )

    def test(self) -> None:
        """Ask the receiver whether it is there, as the button does."""
        export = self.export

        def work(progress: Progress, _: threading.Event) -> Any:
            from workbench.formats.otlp.sending.connection import test_connection

            progress("asking the receiver")
            return test_connection(signals=export.signals, **export.options)

        self._activity.begin(work)

    def cancel(self) -> None:
        """Stop what is going on; nothing is left behind by it."""
        self._activity.cancel()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until what was begun has ended; return whether it has."""
        return self._activity.wait(timeout)

    def _ipython_display_(self) -> None:
        """Show the panel, and before it what stands there on pages without a kernel.

        They are two outputs: nbconvert and JupyterLab, which must choose one form of an output,
        take the widget also where it cannot be drawn. The widget, once alive, hides the other.
        """
        from IPython.display import display

        words = (self._rec.path.name, self._command.command, self._command.why)
        text = {
            "text/plain": static.plain(*words),
            "text/html": static.fragment(*words, self.model_id),
        }
        display(text, raw=True)
        display({**self._repr_mimebundle_(), "text/plain": ""}, raw=True)

    def _arranged(self) -> list[Any]:
        title = head(f"Export {self._rec.path.name}")
        what = [head("What of it"), self._part.widget]
        to = [head("Where to"), self._file.widget, self._receiver.widget]
        same = [head("The same in a terminal"), self._command]
        return [style(), title, self._format.widget, *what, *to, self._activity.widget, *same]

    def _other(self, format: bool) -> None:
        """Show what belongs to the format that was chosen."""
        if not self._ready:
            return
        if format:
            sends = self._format.sends
            show(self._file.widget, not sends)
            show(self._receiver.widget, sends)
            show(self._activity.test, sends)
            self._activity.export.description = "Send" if sends else "Export"
            self._file.follow(self._format.name)
        self._changed()

    def _changed(self) -> None:
        """Bring up to date what follows from the settings."""
        if self._ready:
            self._show_command()
            self._activity.allow(self._format.fits, self._lacking())

    def _show_command(self) -> None:
        try:
            # Conditions in polars or SQL make it fail here: they are part of the selection.
            part_of(self._part.base.selection, self._rec.manifest.start_ns)
            text = self.export.command(outcome.shown_path(self._rec.path), self.part)
        except QueryError as error:
            self._command.command, self._command.why = "", str(error)
        else:
            self._command.command, self._command.why = text, ""

    def _lacking(self) -> ExportError | None:
        """Return what is not installed, as the error that says what to do."""
        if not self._format.name.startswith(SEND):
            return None
        more = ("google.rpc", *self._receiver.modules) if self._format.sends else ()
        try:
            require(*_OTLP, *more)
        except ExportError as error:
            return error
        return None
