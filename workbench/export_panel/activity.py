"""What is going on: the buttons that begin and stop it, its progress, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets

from workbench.errors import WorkbenchError
from workbench.export_panel import outcome
from workbench.export_panel.job import Job, Work
from workbench.export_panel.look import note, show
from workbench.views.html import escape


class Activity:
    """Widgets for one export, or test of a connection, at a time.

    Attributes
    ----------
    export, test, stop : ipywidgets.Button
    result : Path, SendReport, ConnectionReport, WorkbenchError or None
        What became of the last one.
    """

    def __init__(self) -> None:
        self.result: Any = None
        self._job: Job | None = None
        self._lacking: WorkbenchError | None = None
        self._allowed = True
        self._note: Callable[[], str] = str
        self.export = ipywidgets.Button(description="Export", button_style="primary")
        self.stop = ipywidgets.Button(description="Cancel", disabled=True)
        self.test = ipywidgets.Button(description="Test connection")
        self.stop.on_click(lambda _: self.cancel())
        self.status = note()
        self.status.add_class("wb-export-status")
        self.outcome = ipywidgets.HTML()
        self.large = ipywidgets.Output()
        buttons = ipywidgets.HBox([self.export, self.test, self.stop])
        buttons.add_class("wb-export-row")
        self.widget = ipywidgets.VBox([buttons, self.status, self.outcome, self.large])
        self._tidy()

    def allow(self, allowed: bool, lacking: WorkbenchError | None = None) -> None:
        """Let something be begun, or not, after a change; say what is not installed for it.

        An error is not shown any longer: it may be of what is not asked for any more.
        """
        self._allowed, self._lacking = allowed, lacking
        if self._job is not None:
            return
        self._enable()
        if lacking is not None:
            self.outcome.value = outcome.failure(lacking)
        elif self.result is None or isinstance(self.result, BaseException):
            self.outcome.value = ""
        self._tidy()

    def begin(self, work: Work, note: Callable[[], str] = str) -> None:
        """Begin, unless something is going on.

        Parameters
        ----------
        work : callable
            See :class:`~workbench.export_panel.job.Job`.
        note : callable
            Gives, once a file is written, what is to be said of it besides.
        """
        if self._job is not None:
            return
        self.result, self.outcome.value, self.large.outputs = None, "", ()
        self._note = note
        self.export.disabled = self.test.disabled = True
        self.stop.disabled = False
        self._tell("", 0.0)
        self._tidy()
        self._job = Job(work, self._tell, self._done)
        self._job.start()

    def cancel(self) -> None:
        """Stop what is going on; nothing is left behind by it."""
        if self._job is not None:
            self._job.cancel.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until what was begun has ended; return whether it has."""
        job = self._job
        return job is None or job.wait(timeout)

    def _enable(self) -> None:
        self.export.disabled = self.test.disabled = not self._allowed or self._lacking is not None

    def _tidy(self) -> None:
        """Take no room for what says nothing."""
        show(self.status, bool(self.status.value))
        show(self.outcome, bool(self.outcome.value))
        show(self.large, bool(self.large.outputs))

    def _tell(self, text: str, seconds: float) -> None:
        stopping = self._job is not None and self._job.cancel.is_set()
        words = ["cancelling" if stopping else text or "working", f"{seconds:.1f} s"]
        bar = '<progress aria-label="Export"></progress>'
        self.status.value = f"{bar} {escape(' · '.join(words))}"

    def _done(self, result: Any, seconds: float) -> None:
        """Show how it ended; called in the job's thread."""
        self.result = result
        link = ""
        try:
            text = outcome.shown(result, seconds)
            if isinstance(result, Path):
                link = outcome.served(result)
                text += outcome.empty(self._note())
            self.outcome.value = text
        except OSError as error:  # somebody has taken the file away meanwhile
            self.outcome.value = outcome.failure(error)
        if link:
            data = {"text/html": f'<div class="wb wb-export-outcome">{link}</div>'}
            self.large.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)
        self.status.value = ""
        self.stop.disabled = True
        self._job = None
        self._enable()
        self._tidy()
