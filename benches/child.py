"""A process that a bench starts, listens to, and kills when it misses its deadline."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any

from benches.harness import DEADLINE_S, ROOT, BenchError, Snapshot


def environment(temporary: str) -> dict[str, str]:
    """Return the environment of a consumer.

    Parameters
    ----------
    temporary : str
        Where it puts temporary files; they go with it, however it ends.
    """
    # Installed packages have their byte code: nobody compiles them at each start.
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "TMPDIR": temporary}


class Child:
    """A consumer in a process of its own, which speaks lines of JSON (:mod:`benches.consumers`).

    Parameters
    ----------
    module : str
        Name in ``benches.consumers``.
    *arguments : str
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="workbench-bench-")
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"benches.consumers.{module}", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env=environment(self._directory.name),
            start_new_session=True,  # its own children are killed with it
        )
        self._rest = b""

    def hear(self, deadline: float = DEADLINE_S) -> dict[str, Any]:
        """Return the next message.

        Raises
        ------
        BenchError
            It says that it cannot, it has ended, or it said nothing in time.
        """
        assert self._process.stdout
        until = time.monotonic() + deadline
        while b"\n" not in self._rest:
            left = until - time.monotonic()
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, left))
            if not ready:
                raise BenchError(f"no answer within {deadline:.0f} s")
            data = os.read(self._process.stdout.fileno(), 1 << 16)
            if not data:
                raise BenchError(f"it ended with code {self._process.wait(5.0)}")
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line)
        if "error" in message:
            raise BenchError(message["error"])
        return message

    def snapshot(self) -> Snapshot:
        """Ask for a snapshot."""
        self._process.send_signal(signal.SIGUSR1)
        return Snapshot(**self.hear())

    def close(self) -> None:
        """End it and what it has started."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(2.0)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait(5.0)
        assert self._process.stdout
        self._process.stdout.close()
        self._directory.cleanup()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
