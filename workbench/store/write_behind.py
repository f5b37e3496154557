"""Let the kernel write a growing file out at once and drop what was written long ago.

A capture of millions of events a second writes gigabytes that nobody reads again before the
end. Left alone they stay dirty for up to 30 seconds (``vm.dirty_expire_centisecs``), push what
the user's own programs cache out of memory, and every new page of them must be found first: in
a virtual machine whose free pages go back to the host that costs ten times the copy itself.
Here a file of more than :data:`KEPT` bytes takes the pages that it gave back a moment before.
"""

from __future__ import annotations

import contextlib
import os

STEP = 8 << 20
"""Bytes after which a piece of the file is handed to the kernel's writers."""
KEPT = 64 << 20
"""Bytes of the end of the file that stay in memory, for readers that follow it."""


class WriteBehind:
    """Advice to the kernel about one file that only grows.

    ``POSIX_FADV_DONTNEED`` starts to write the dirty pages of a range without waiting, and
    drops those that are clean (``mm/fadvise.c``); so each piece is named twice, when it is new
    and when it lies :data:`KEPT` bytes back. Advice that the file system does not take changes
    nothing.

    Parameters
    ----------
    path : str
        The file; it exists.

    Raises
    ------
    OSError
        The file cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._written = 0
        self._dropped = 0

    def grown(self, size: int) -> None:
        """Tell that the file now has `size` bytes; costs nothing before a whole :data:`STEP`."""
        while size - self._written >= STEP:
            self._dont_need(self._written)
            self._written += STEP
            if self._written - self._dropped > KEPT:
                self._dont_need(self._dropped)
                self._dropped += STEP

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)

    def _dont_need(self, offset: int) -> None:
        with contextlib.suppress(OSError):
            os.posix_fadvise(self._descriptor, offset, STEP, os.POSIX_FADV_DONTNEED)
