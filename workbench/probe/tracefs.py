"""The tracepoints that tracefs lists: ids, and formats of their records.

Where tracefs is mounted it is read there. Where it is not, an instance of it is opened that is
mounted nowhere (``fsopen(2)``, ``fsmount(2)``, Linux 5.2; needs CAP_SYS_ADMIN): it changes nothing
for anybody else and is gone with its descriptor.
"""

from __future__ import annotations

import ctypes as c
import os
import re
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import AttachError
from workbench.probe import support
from workbench.probe.clib import libc

if TYPE_CHECKING:
    from collections.abc import Iterator

# include/uapi/asm-generic/unistd.h; x86-64 has the same numbers.
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_CLOEXEC = 1  # FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC
_CMD_CREATE = 6  # FSCONFIG_CMD_CREATE
_NAME = re.compile(r"\w+")

HOW = (
    "Mount it as root: mount -t tracefs tracefs /sys/kernel/tracing; or use rawtp:NAME, which "
    "needs no tracefs."
)


@contextmanager
def events() -> Iterator[Path]:
    """Give the folder ``events`` of tracefs.

    Raises
    ------
    AttachError
        It is not mounted and cannot be opened without that.
    """
    mounted = support.tracefs()
    if mounted is not None and os.access(mounted / "events", os.R_OK | os.X_OK):
        yield mounted / "events"
        return
    descriptor, why = _open_detached()
    if descriptor < 0:
        seen = f"{mounted} may not be read" if mounted else "it is not mounted"
        raise AttachError(
            "The tracepoints of tracefs cannot be reached.",
            why=f"{seen}, and opening it otherwise failed: {why}.",
            advice=HOW,
        )
    try:
        yield Path(f"/proc/self/fd/{descriptor}/events")
    finally:
        os.close(descriptor)


def _open_detached() -> tuple[int, str]:
    """Return a descriptor of a mount of tracefs that is attached nowhere, or -1 and why not."""
    call = libc().syscall
    context = call(c.c_long(_FSOPEN), b"tracefs", c.c_uint(_CLOEXEC))
    if context < 0:
        return -1, os.strerror(c.get_errno())
    try:
        made = call(c.c_long(_FSCONFIG), context, c.c_uint(_CMD_CREATE), None, None, 0)
        mount = call(c.c_long(_FSMOUNT), context, c.c_uint(_CLOEXEC), 0) if made == 0 else -1
        why = os.strerror(c.get_errno())
    finally:
        os.close(context)
    return int(mount), why


def read(category: str, name: str) -> tuple[int, str]:
    """Return the id of a tracepoint, and the text of its format.

    Raises
    ------
    AttachError
        There is none of that name (the text names similar ones), or tracefs cannot be reached.
    """
    with events() as folder:
        place = folder / category / name
        if not (_NAME.fullmatch(category) and _NAME.fullmatch(name)):
            raise _unknown(folder, category, name)
        try:
            return int((place / "id").read_text()), (place / "format").read_text()
        except (FileNotFoundError, NotADirectoryError):
            raise _unknown(folder, category, name) from None
        except OSError as error:
            raise AttachError(
                f"The tracepoint {category}:{name} cannot be read.", why=str(error), advice=HOW
            ) from error


def _unknown(folder: Path, category: str, name: str) -> AttachError:
    categories = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    what = f"This kernel has no tracepoint {category}:{name}."
    if category in categories:
        here = sorted(entry.name for entry in os.scandir(folder / category) if entry.is_dir())
        close = [f"{category}:{each}" for each in get_close_matches(name, here, 5, 0.5)]
    else:
        close = get_close_matches(category, categories, 5, 0.5)
    elsewhere = [f"{each}:{name}" for each in categories if (folder / each / name / "id").exists()]
    found = elsewhere or close
    kind = "Similar" if found else "Categories"
    return AttachError(
        what,
        why="tracefs does not list it.",
        advice=f"{kind}: {', '.join(found or categories)}.",
    )
