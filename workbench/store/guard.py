"""One place that turns what libraries raise on damaged input into errors of the workbench."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.errors import (
    SessionCorruptError,
    SessionNotFoundError,
    StorageError,
    WorkbenchError,
)

_OURS = (KeyboardInterrupt, SystemExit, GeneratorExit, WorkbenchError)
_ADVICE = {
    errno.ENOSPC: "Free space on that file system; of a capture, what was flushed can be opened.",
    errno.EDQUOT: "Free space in your quota; of a capture, what was flushed can be opened.",
    errno.ENOENT: "Make that folder first, or choose another place.",
    errno.ENOTDIR: "What is named as a folder is a file: choose another place.",
    errno.EACCES: "Check the permissions, or choose another place.",
    errno.EROFS: "Choose a place on a file system that can be written.",
}
_TOLD = re.compile(r"\[Errno (\d+)\]|\(os error (\d+)\)")
"""How polars and pyarrow tell of the number of an error, in text alone."""


@contextmanager
def reading(path: Path | str, part: str = "") -> Iterator[None]:
    """Report everything that goes wrong inside as a session that cannot be read.

    Parameters
    ----------
    path : path
        The session.
    part : str
        The table or member that is read.

    Raises
    ------
    SessionCorruptError
        For whatever pyarrow, polars (its panics derive from BaseException) or numpy raise.
    SessionNotFoundError, StorageError
        When the operating system refuses to open or read.
    """
    where = f"{path}{f' ({part})' if part else ''}"
    try:
        yield
    except _OURS:
        raise
    except FileNotFoundError as error:
        raise SessionNotFoundError(f"There is no session at {where}.", why=str(error)) from error
    except OSError as error:
        if error.errno is None:  # pyarrow reports a damaged file so
            raise _corrupt(where, error) from error
        raise StorageError(f"{where} cannot be read.", why=str(error)) from error
    except BaseException as error:
        raise _corrupt(where, error) from error


def _corrupt(where: str, error: BaseException) -> SessionCorruptError:
    why = f"{type(error).__name__}: {str(error)[:500]}"
    return SessionCorruptError(f"{where} is damaged.", why=why)


@contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Report a full disk, a read-only file system and the like as StorageError."""
    try:
        yield
    except OSError as error:
        told = _TOLD.search(str(error))
        number = error.errno or (int(told[1] or told[2]) if told else 0)
        raise StorageError(
            f"{path} cannot be written.",
            why=error.strerror or (os.strerror(number) if number else str(error)),
            advice=_ADVICE.get(number, ""),
        ) from error


def is_special(path: Path | str) -> bool:
    """Return whether a path is no place for a file: a device, pipe, socket, or open descriptor.

    Such a thing is written to and never replaced: a rename over ``/dev/null`` would take it away
    from everybody, one over ``/dev/stdout`` its link into ``/proc``.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  of what a link leads to
    except OSError:
        return False
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return True
    link = os.readlink(path) if os.path.islink(path) else ""  # noqa: PTH114, PTH115
    folder = os.path.realpath(os.path.dirname(path) or ".")  # noqa: PTH120
    return link.startswith("/proc/") or f"{folder}/".startswith("/proc/")
