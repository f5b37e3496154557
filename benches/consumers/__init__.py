"""Consumers of events, each a process: ``python -m benches.consumers.NAME LOAD ...``.

A consumer writes ``{"ready": true}`` when its probes are attached, then a snapshot for each
SIGUSR1, and ends at SIGTERM. The snapshot is taken by a signal handler, because some consumers'
loops never return: Python runs the handler between two callbacks.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NoReturn

from benches.harness import Load, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def say(message: dict[str, Any]) -> None:
    """Write one line of JSON."""
    os.write(1, (json.dumps(message) + "\n").encode())


def fail(why: str) -> NoReturn:
    """Say why it cannot be measured, and end."""
    say({"error": why})
    sys.exit(1)


def serve(
    load: Load, counts: Callable[[], dict[str, int | None]], helpers: Iterable[int] = ()
) -> None:
    """Answer SIGUSR1 with a snapshot from now on, end at SIGTERM, and say that it is ready.

    Parameters
    ----------
    load : Load
        The workload.
    counts : callable
        Gives ``delivered`` and ``dropped``.
    helpers : iterable of int
        Further processes that consume for this one.
    """
    pids = (os.getpid(), *helpers)
    signal.signal(signal.SIGUSR1, lambda *_: say(asdict(snapshot(load, pids, **counts()))))
    # Not sys.exit(): ctypes swallows exceptions that are raised in a callback.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    say({"ready": True})
