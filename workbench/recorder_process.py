"""Recorder processes: started for a capture, or ahead of it.

Most of the time until a capture begins goes into importing libraries in the recorder. A process
that :func:`prepare` has made is beyond that: it only has to load and attach the programs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

MODULE = "workbench.recorder"
CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF = 21, 38, 39
"""include/uapi/linux/capability.h"""


@dataclass
class RecorderProcess:
    """A recorder process: its pipes, and the file that holds what it prints as errors.

    It is of a session of its own: Ctrl-C and the end of a notebook's kernel do not reach it.
    """

    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    place: tuple[str, dict[str, str]]

    @property
    def usable(self) -> bool:
        """Whether it still waits, in the directory and the environment of its client."""
        return self.process.poll() is None and self.place == _place()

    def close(self) -> None:
        """End it if it still runs, and reap it."""
        self.process.kill()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()
        self.process.wait()
        self.errors.close()


def _place() -> tuple[str, dict[str, str]]:
    try:
        return str(Path.cwd()), dict(os.environ)
    except FileNotFoundError:  # the directory was removed
        return "", dict(os.environ)


def launch(*options: str) -> RecorderProcess:
    """Start a recorder, which waits for its capture."""
    errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
    # Should native code crash, its Python stacks are what the error can tell.
    process = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-m", MODULE, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,
    )
    return RecorderProcess(process, errors, _place())


class _Spare:
    """The recorder that waits for the next capture of this process, if one is wanted."""

    def __init__(self) -> None:
        self.wanted = False
        self._waiting: RecorderProcess | None = None
        self._owner = 0

    def fill(self) -> None:
        if self._waiting is not None and (self._owner != os.getpid() or not self._waiting.usable):
            self.drop()
        if self.wanted and self._waiting is None:
            self._waiting, self._owner = launch("--ahead"), os.getpid()

    def take(self) -> RecorderProcess | None:
        taken, mine = self._waiting, self._owner == os.getpid()
        if taken is not None and mine and taken.usable:
            self._waiting = None
            return taken
        self.drop()
        return None

    def drop(self) -> None:
        """End it; one that this process has from its parent, by fork(), is the parent's."""
        if self._waiting is not None and self._owner == os.getpid():
            self._waiting.close()
        self._waiting = None


_spare = _Spare()


def prepare(ahead: bool = True) -> bool:
    """Keep a recorder ready, so that the next captures of this process begin at once.

    It waits as an idle process of about 100 MB. It ends with this process, after ten minutes
    without a capture, and by ``prepare(False)``. ``%load_ext workbench`` calls this where the
    user may capture.

    Parameters
    ----------
    ahead : bool
        Whether to keep one.

    Returns
    -------
    bool
        Whether one is there now.
    """
    _spare.wanted = ahead
    if ahead:
        _spare.fill()
    else:
        _spare.drop()
    return ahead


def recorder() -> RecorderProcess:
    """Return a recorder for a capture: the prepared one, or a new one."""
    return _spare.take() or launch()


def prepare_next() -> None:
    """Where recorders are kept ready, begin another one: the last one was taken."""
    _spare.fill()


def may_capture(status: str = "/proc/self/status") -> bool:
    """Whether this process has the capabilities that a capture needs, at a glance."""
    try:
        lines: dict[str, Any] = dict(
            line.split(":\t", 1) for line in Path(status).read_text().splitlines() if ":\t" in line
        )
        held = int(lines["CapEff"], 16)
    except (OSError, ValueError, KeyError):
        return False
    return bool(held >> CAP_SYS_ADMIN & 1) or bool(held >> CAP_BPF & held >> CAP_PERFMON & 1)
