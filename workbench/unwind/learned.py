"""What a command mapped when it was recorded before: libraries that it loads as it goes.

ld.so(8) tells what a program maps at its start (:mod:`workbench.unwind.needed`), but not what it
loads later with dlopen(3), nor what the programs that it starts map. Each such file costs the
stacks of the first milliseconds. So the paths are kept, by command, beside the tables themselves.
They are a hint: what is loaded ahead is what lies at a path now.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.cache_home import is_private
from workbench.unwind.table_cache import default_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_PATHS = 256
"""Of one command; the newest stay."""
MAX_COMMANDS = 1024
MAX_BYTES = 1 << 20


def recall(command: Sequence[str], directory: Path | None = None) -> list[str]:
    """Return the files that a command mapped before, as absolute paths.

    Parameters
    ----------
    command : sequence of str
        Its words. Counts as the same: the same program and, if its first argument is a file (a
        script), the same file.
    directory : Path, optional
        Where they are kept; by default ``learned`` beside the unwind tables.
    """
    place = _place(command, directory)
    try:
        if place is None or place.stat().st_size > MAX_BYTES:
            return []
        found = json.loads(place.read_text())
    except (OSError, ValueError):
        return []
    if not isinstance(found, list):
        return []
    return [path for path in found[:MAX_PATHS] if isinstance(path, str) and _is_plain(path)]


def remember(command: Sequence[str], paths: Iterable[str], directory: Path | None = None) -> None:
    """Keep the files that a command has mapped; nothing is said if that is not possible.

    Parameters
    ----------
    command : sequence of str
    paths : iterable of str
        Others than absolute ones ("[vdso]") and deleted files are left out.
    directory : Path, optional
    """
    before = recall(command, directory)
    wanted = list(dict.fromkeys([*filter(_is_plain, paths), *before]))[:MAX_PATHS]
    place = _place(command, directory)
    if place is None or set(wanted) == set(before):
        return
    temporary = ""
    try:
        fd, temporary = tempfile.mkstemp(prefix=".", dir=place.parent)
        with os.fdopen(fd, "w") as file:
            json.dump(wanted, file)
        os.replace(temporary, place)  # noqa: PTH105 - both are on the same file system
    except (OSError, ValueError):  # the disk is full; a path that is no text
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
    _forget_old(place.parent)


def _place(command: Sequence[str], directory: Path | None) -> Path | None:
    """Return the file of a command; None where none can be kept."""
    directory = directory or default_directory().with_name("learned")
    program = shutil.which(command[0]) if command else None
    if program is None or not is_private(directory):
        return None
    words = [os.path.realpath(program)]
    if len(command) > 1 and os.path.isfile(command[1]):  # noqa: PTH113 - may hold any bytes
        words.append(os.path.realpath(command[1]))
    digest = hashlib.blake2b(os.fsencode("\0".join(words)), digest_size=16)
    return directory / f"{digest.hexdigest()}.json"


def _is_plain(path: str) -> bool:
    return path.startswith("/") and not path.endswith(" (deleted)")


def _forget_old(directory: Path) -> None:
    with suppress(OSError):
        files = sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in files[MAX_COMMANDS:]:
            path.unlink()
