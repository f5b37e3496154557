"""A file that tells how much was written to it, and that can be told to stop."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from workbench.errors import CancelledError

if TYPE_CHECKING:
    from typing_extensions import Buffer


class WatchedFile(io.BufferedWriter):
    """A binary file, written through a buffer.

    Parameters
    ----------
    descriptor : int
        Open for writing; taken over.
    progress : callable, optional
        Called with the bytes that are written so far, whenever some were.
    cancel : threading.Event, optional
        Once it is set, writing raises :class:`~workbench.errors.CancelledError`.

    Attributes
    ----------
    written : int
        Bytes.
    stopped : bool
        Writing was refused because of `cancel`; libraries that write may tell it otherwise.
    """

    def __init__(
        self,
        descriptor: int,
        progress: Callable[[int], object] | None = None,
        cancel: threading.Event | None = None,
    ) -> None:
        super().__init__(io.FileIO(descriptor, "wb"))
        self._progress = progress
        self._cancel = cancel
        self.written = 0
        self.stopped = False

    def write(self, data: Buffer) -> int:
        """Write, tell, and stop where that is wanted."""
        if self._cancel is not None and self._cancel.is_set():
            self.stopped = True
            raise CancelledError("The export was cancelled.")
        count = super().write(data)
        self.written += count
        if self._progress is not None:
            self._progress(self.written)
        return count
