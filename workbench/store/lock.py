"""``recorder.pid``: tells a session that is being recorded from one whose recorder died.

The file holds a JSON object with the recorder's ``pid``, its start time in clock ticks since
boot (field 22 of ``/proc/PID/stat``, proc(5)) and the boot id, so that neither a reused process
id nor a reboot makes a dead recorder look alive.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

LOCK_NAME = "recorder.pid"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def write_lock(directory: Path) -> None:
    """Name this process as the recorder of a session."""
    content = {"pid": os.getpid(), "start": start_time(os.getpid()), "boot_id": boot_id()}
    (directory / LOCK_NAME).write_text(json.dumps(content) + "\n")


def remove_lock(directory: Path) -> None:
    """Say that nobody records into the session any more."""
    (directory / LOCK_NAME).unlink(missing_ok=True)


def is_live(directory: Path) -> bool:
    """Return whether the process that records into `directory` still runs."""
    try:
        with (directory / LOCK_NAME).open("rb") as file:
            content = json.loads(file.read(4096))
        pid, start, boot = content["pid"], content["start"], content["boot_id"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
    if type(pid) is not int or not 0 < pid < 1 << 31 or boot != boot_id():
        return False
    now = start_time(pid)
    return now == start if now is not None else _exists(pid)


def boot_id() -> str:
    """Return the id of the running boot, ``""`` where the kernel does not tell."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None when it cannot be read."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The command in parentheses may hold blanks and parentheses itself.
    after = stat.rpartition(")")[2].split()
    if len(after) < 20 or after[0] in "ZX":
        return None
    return int(after[19])


def _exists(pid: int) -> bool:
    """Return whether there is a process that we may not look at (hidepid)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return False
