"""The panel itself: what, how, where to; progress; what became of it; the same as a command."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import ipywidgets

from workbench.errors import ExportError, QueryError
from workbench.export_panel import outcome
from workbench.export_panel.command_line import CommandLine
from workbench.export_panel.job import Job
from workbench.export_panel.look import field, head, note, show, style
from workbench.export_panel.part_form import PartForm
from workbench.export_panel.receiver_form import ReceiverForm
from workbench.exporting import SEND, SETTINGS, Export, Progress
from workbench.formats import writable
from workbench.formats.otlp.signals import require
from workbench.part import Part, part_of
from workbench.recording import Recording
from workbench.views.html import escape

_OTLP = ("google.protobuf", "opentelemetry.proto")
_KNOWN = {"format", "table", "output", "signals", "headers", *SETTINGS} - {"timeout"}


class ExportPanel(ipywidgets.VBox):
    """Exports a session, or a part of it, from a notebook.

    Parameters
    ----------
    rec : Recording
        The session; its selection is what is chosen at first.
    format : str
        One of :func:`workbench.formats.writable`, or ``otlp`` to send to a receiver.
    **settings
        What is shown at first: ``table``, ``output``, ``signals``, ``endpoint``, ``protocol``,
        ``headers``, ``compression``, ``certificate``, ``client_key``, ``client_certificate``,
        ``insecure``.

    Attributes
    ----------
    result : Path, SendReport, ConnectionReport, WorkbenchError or None
        What became of the last export, or of the last test of a connection.

    Raises
    ------
    ExportError
        There is no such format or setting.
    """

    def __init__(self, rec: Recording, format: str = "pprof", **settings: Any) -> None:
        if unknown := settings.keys() - _KNOWN:
            raise ExportError(
                f"The panel has no {', '.join(sorted(unknown))}.",
                advice=f"Settings: {', '.join(sorted(_KNOWN))}",
            )
        Export(format=format).beside("")  # or there is no such format
        self.result: Any = None
        self._rec = rec
        self._job: Job | None = None
        self._ready = False
        self._format = field(ipywidgets.Dropdown, "Format", options=format_choices(), value=format)
        self._table = field(ipywidgets.Dropdown, "Table")
        self._part = PartForm(rec, self._changed)
        self._receiver = ReceiverForm(settings, self._changed)
        self._file = field(ipywidgets.Text, "File", value=str(settings.get("output") or ""))
        self._own_file = self._file.value != ""
        self._where = note()
        self._buttons()
        self._status = note()
        self._outcome = ipywidgets.HTML()
        self._large = ipywidgets.Output()
        self._command = CommandLine()
        super().__init__(self._arranged())
        self.add_class("wb-export")
        self._format.observe(lambda _: self._other_format(None), "value")
        self._table.observe(lambda _: self._changed(), "value")
        self._file.observe(self._other_file, "value")
        self._ready = True
        self._other_format(settings.get("table"))

    @property
    def export(self) -> Export:
        """What the panel says now, without the part of the session."""
        sends = self._format.value == SEND
        return Export(
            format=self._format.value,
            table=None if sends else self._table.value or None,
            output="" if sends else self._file.value.strip(),
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

        self._begin(work)

    def test(self) -> None:
        """Ask the receiver whether it is there, as the button does."""
        export = self.export

        def work(progress: Progress, _: threading.Event) -> Any:
            from workbench.formats.otlp.connection import test_connection

            progress("asking the receiver")
            return test_connection(signals=export.signals, **export.options)

        self._begin(work)

    def cancel(self) -> None:
        """Stop what is going on; nothing is left behind by it."""
        if self._job is not None:
            self._job.cancel.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until what was begun has ended; return whether it has."""
        job = self._job
        return job is None or job.wait(timeout)

    def _buttons(self) -> None:
        self._export = ipywidgets.Button(description="Export", button_style="primary")
        self._cancel = ipywidgets.Button(description="Cancel", disabled=True)
        self._test = ipywidgets.Button(description="Test connection")
        self._export.on_click(lambda _: self.start())
        self._cancel.on_click(lambda _: self.cancel())
        self._test.on_click(lambda _: self.test())

    def _arranged(self) -> list[Any]:
        buttons = ipywidgets.HBox([self._export, self._cancel, self._test])
        buttons.add_class("wb-export-row")
        to = [head("Where to"), self._file, self._where, self._receiver.widget]
        what = [head("What of it"), self._part.widget]
        end = [buttons, self._status, self._outcome, self._large]
        same = [head("The same in a terminal"), self._command]
        title = head(f"Export {self._rec.path.name}")
        return [style(), title, self._format, self._table, *what, *to, *end, *same]

    def _other_format(self, table: str | None) -> None:
        """Show what belongs to the format that was chosen."""
        name, sends = self._format.value, self._format.value == SEND
        takes = None if sends else writable()[name].tables
        names = [] if takes is None else list(takes(self._rec))
        with self.hold_trait_notifications():
            self._table.options = [("as is usual for the format", ""), *((n, n) for n in names)]
            self._table.value = table if table in names else ""
        show(self._table, bool(names))
        show(self._file, not sends)
        show(self._where, not sends)
        show(self._receiver.widget, sends)
        show(self._test, sends)
        self._export.description = "Send" if sends else "Export"
        if not sends and not self._own_file:
            self._file.value = Export(format=name).beside(self._rec.path.name)
            self._own_file = False
        self._changed()

    def _other_file(self, change: Any) -> None:
        """Remember whether the name is the user's own: then it stays when the format changes."""
        self._own_file = change.new not in {"", *map(_beside(self._rec), writable())}
        self._changed()

    def _changed(self) -> None:
        """Bring up to date what follows from the settings."""
        if not self._ready:
            return
        self._show_command()
        path = Path(self._file.value.strip() or ".")
        self._where.value = "An existing file, which is replaced." if path.is_file() else ""
        lacking = self._lacking()
        if self._job is None:
            self._export.disabled = self._test.disabled = lacking is not None
        if lacking is not None:
            self._outcome.value = outcome.failure(lacking)
        elif self._outcome.value and self.result is None:
            self._outcome.value = ""

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
        name = self._format.value
        modules = (*_OTLP, "google.rpc", *self._receiver.modules) if name == SEND else _OTLP
        if not name.startswith(SEND):
            return None
        try:
            require(*modules)
        except ExportError as error:
            return error
        return None

    def _begin(self, work: Any) -> None:
        if self._job is not None:
            return
        self.result, self._outcome.value, self._large.outputs = None, "", ()
        self._export.disabled = self._test.disabled = True
        self._cancel.disabled = False
        self._tell("", 0.0)
        self._job = Job(work, self._tell, self._done)
        self._job.start()

    def _tell(self, text: str, seconds: float) -> None:
        stopping = self._job is not None and self._job.cancel.is_set()
        words = ["cancelling" if stopping else text or "working", f"{seconds:.1f} s"]
        self._status.value = f"<progress></progress> {escape(' · '.join(words))}"

    def _done(self, result: Any, seconds: float) -> None:
        """Show how it ended; called in the job's thread."""
        self.result = result
        link = ""
        try:
            self._outcome.value = outcome.shown(result, seconds)
            link = outcome.served(result) if isinstance(result, Path) else ""
        except OSError as error:  # somebody has taken the file away meanwhile
            self._outcome.value = outcome.failure(error)
        if link:
            data = {"text/html": f'<div class="wb wb-export-outcome">{link}</div>'}
            self._large.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)
        self._status.value = ""
        self._cancel.disabled = True
        self._export.disabled = self._test.disabled = False
        self._job = None


def format_choices() -> list[tuple[str, str]]:
    """Return the formats with their meanings, sending to a receiver last."""
    found = [(f"{each.name}: {each.meaning}", each.name) for each in writable().values()]
    return [*found, (f"{SEND}: send to a receiver (OpenTelemetry Collector, ...)", SEND)]


def _beside(rec: Recording) -> Any:
    return lambda name: Export(format=name).beside(rec.path.name)
