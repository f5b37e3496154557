"""A file that appears under its name when it is whole, and of which nothing stays otherwise."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from workbench.store.guard import is_special


@contextmanager
def appearing(target: Path) -> Iterator[int]:
    """Give a descriptor to write to; at the end the file is `target`, in place of an older one.

    Where the file system can do that (``O_TMPFILE``, since Linux 3.11: ext4, XFS, Btrfs, tmpfs)
    the file has no name until it is whole, so that nothing of it is left behind even when the
    process is killed. Elsewhere it has another name until then, which is removed when something
    goes wrong. Devices, pipes and open descriptors are written to as they are.

    Parameters
    ----------
    target : Path

    Yields
    ------
    int
        Open for writing; whoever takes it closes it.

    Raises
    ------
    OSError
        The file cannot be made. An older one stays.
    """
    if is_special(target):
        # Appended, so that >> keeps what a file has that is standard output.
        yield os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        return
    part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.{os.getpid()}.part")
    descriptor = _without_name(target.parent)
    if unnamed := descriptor is not None:
        content = os.dup(descriptor)  # the file is gone with its last descriptor
    else:
        descriptor, content = _with_name(part), -1
    try:
        yield descriptor
        if unnamed and _linked(content, target):
            return
        if unnamed:
            _link(content, part)
        part.replace(target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    finally:
        if unnamed:
            os.close(content)


def _without_name(folder: Path) -> int | None:
    """Open a file without a name; None where that, or to give it one later, is not possible."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666)
        if Path(_path(descriptor)).exists():
            return descriptor
        os.close(descriptor)  # no /proc
    return None


def _with_name(part: Path) -> int:
    return os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)


def _linked(descriptor: int, target: Path) -> bool:
    """Give a file its name, unless another has it already: links replace nothing."""
    try:
        _link(descriptor, target)
    except FileExistsError:
        return False
    return True


def _link(descriptor: int, path: Path) -> None:
    # With src_dir_fd Python calls linkat() with AT_SYMLINK_FOLLOW, without it link(), which would
    # link the symbolic link in /proc itself. The path is absolute: the descriptor has no other use.
    os.link(_path(descriptor), path, src_dir_fd=descriptor)


def _path(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"
