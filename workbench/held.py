"""A command that waits before its first instruction until the probes are attached."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from workbench.errors import TargetError

# The shell waits for the end of its descriptor 3 or a line there. It execs the command by its
# absolute path, so exactly one execve is made; the BPF side counts the process from there on.
_SHELL = "/bin/sh"
_GATE = 3
_SCRIPT = f'read -r _ <&{_GATE} && exec {_GATE}<&- && exec "$@"'
GRACE_S = 2.0


class HeldCommand:
    """A started command that has not begun.

    It ends by itself if this process dies before :meth:`release`.

    Parameters
    ----------
    command : sequence of str
        Program and arguments; the program is looked up in PATH.
    variables : mapping of str to str
        Environment variables besides those of this process.

    Raises
    ------
    TargetError
        No such program, or arguments that no program can be given.
    """

    def __init__(self, command: Sequence[str], variables: Mapping[str, str] | None = None) -> None:
        program = shutil.which(command[0]) if command else None
        if program is None:
            raise TargetError(
                f"There is no program {command[0] if command else ''!r}.",
                why="it is not in PATH or not executable",
                advice="Give its path, or the command as a list: command=['python3', 'job.py'].",
            )
        self.command = tuple(command)
        self.status: int | None = None
        gate, self._gate = os.pipe()
        try:
            arguments = [_SHELL, "-c", _SCRIPT, "sh", str(Path(program).absolute()), *command[1:]]
            actions = [(os.POSIX_SPAWN_DUP2, gate, _GATE)]
            environment = {**os.environ, **(variables or {})}
            self.pid = os.posix_spawn(_SHELL, arguments, environment, file_actions=actions)
        except (OSError, ValueError) as error:  # too long, or a NUL in it
            os.close(self._gate)
            raise TargetError(f"{command[0]!r} cannot be started.", why=str(error)) from error
        finally:
            os.close(gate)

    def release(self) -> None:
        """Let it begin."""
        if self._gate >= 0:
            try:
                os.write(self._gate, b"\n")
            except BrokenPipeError:
                pass  # somebody has killed it
            self._close_gate()

    def _close_gate(self) -> None:
        if self._gate >= 0:
            os.close(self._gate)
            self._gate = -1

    def poll(self) -> int | None:
        """Exit code as :mod:`subprocess` gives it (negative: signal), or None while it runs."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for its end."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None and (deadline is None or time.monotonic() < deadline):
            time.sleep(0.005)
        return self.status

    def end(self) -> None:
        """Terminate it if it still runs: SIGTERM, and SIGKILL after two seconds."""
        self._close_gate()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.poll() is not None:
                return
            os.kill(self.pid, number)
            self.wait(GRACE_S)
