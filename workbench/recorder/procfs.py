"""Processes as /proc shows them; what has gone meanwhile is empty, never an error."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

PROC = Path("/proc")


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def comm(tid: int) -> str:
    """Name of a thread."""
    return _text(PROC / str(tid) / "comm").rstrip("\n")


def parent(pid: int) -> int:
    """Process id of the parent, 0 if unknown. ``stat`` field 4; comm may hold parentheses."""
    fields = _text(PROC / str(pid) / "stat").rpartition(")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def tgid(tid: int) -> int:
    """Process id of a thread, 0 if it has gone."""
    for line in _text(PROC / str(tid) / "status").splitlines():
        if line.startswith("Tgid:"):
            return int(line.split()[1])
    return 0


def executable(pid: int) -> str:
    """Path of the executable."""
    try:
        return str((PROC / str(pid) / "exe").readlink())
    except OSError:
        return ""


def real_path(pid: int, path: str) -> str:
    """Path of the executable that was called as ``path``.

    The link in /proc is that path without symbolic links, unless the process has gone or has
    called execve again meanwhile: then the name it was called by is what is known.
    """
    link = PROC / str(pid) / "exe"
    try:
        return str(link.readlink()) if link.samefile(path) else path
    except OSError:
        return path


def command_line(pid: int) -> str:
    """Arguments, quoted as for a shell."""
    return quote(_text(PROC / str(pid) / "cmdline"))


def quote(arguments: str) -> str:
    """Join NUL-separated arguments, quoted as for a shell."""
    return shlex.join(arguments.rstrip("\0").split("\0")) if arguments else ""


def cgroup(pid: int) -> str:
    """Path in the cgroup v2 hierarchy."""
    for line in _text(PROC / str(pid) / "cgroup").splitlines():
        if line.startswith("0::"):
            return line[3:]
    return ""


def threads(pid: int) -> list[int]:
    """Thread ids of a process."""
    try:
        return sorted(int(name) for name in os.listdir(PROC / str(pid) / "task"))
    except OSError:
        return []


def processes() -> list[int]:
    """Ids of all processes."""
    return sorted(int(name) for name in os.listdir(PROC) if name.isdigit())


def descendants(pid: int) -> list[int]:
    """Ids of all living descendants of a process."""
    children: dict[int, list[int]] = {}
    for other in processes():
        children.setdefault(parent(other), []).append(other)
    found, waiting = [], [pid]
    while waiting:
        new = children.get(waiting.pop(), [])
        found.extend(new)
        waiting.extend(new)
    return found


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    fields = _text(PROC / str(pid) / "stat").rpartition(")")[2].split()
    return bool(fields) and fields[0] not in ("Z", "X")
