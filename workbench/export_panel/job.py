"""Work that goes on while the notebook stays usable: in threads, with progress and cancel."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from workbench.exporting import Progress

_TICK = 0.2
"""Seconds between two looks: browsers are not flooded, and people see that it goes on."""

Work = Callable[[Progress, threading.Event], Any]


class Job:
    """One piece of work; :meth:`start` begins it.

    Parameters
    ----------
    work : callable
        Called in a thread with what takes its progress, and with the event that tells it to
        stop.
    tell : callable
        Called with the progress in words and the seconds, at most five times a second.
    done : callable
        Called once at the end with what `work` returned or raised, and the seconds.
    """

    def __init__(
        self,
        work: Work,
        tell: Callable[[str, float], object],
        done: Callable[[Any, float], object],
    ) -> None:
        self._work = work
        self._tell = tell
        self._done = done
        self._text = ""
        self._result: Any = None
        self._begun = 0.0
        self.cancel = threading.Event()
        self._worker = threading.Thread(target=self._run, name="export", daemon=True)
        self._watcher = threading.Thread(target=self._watch, name="export-watch", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._begun = time.monotonic()
        self._worker.start()
        self._watcher.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended and `done` has returned; return whether it has."""
        self._watcher.join(timeout)
        return not self._watcher.is_alive()

    def _progress(self, text: str) -> None:
        self._text = text

    def _run(self) -> None:
        try:
            self._result = self._work(self._progress, self.cancel)
        except BaseException as error:  # also SystemExit of a callback: it is shown, not lost
            self._result = error

    def _watch(self) -> None:
        """Tell, from this thread only, so that no text comes after the result."""
        while True:
            self._worker.join(_TICK)
            seconds = time.monotonic() - self._begun
            if not self._worker.is_alive():
                break
            self._tell(self._text, seconds)
        self._done(self._result, seconds)
