"""The recorder process: ``python -m workbench.recorder``, started by the client.

Protocol: the client writes one line of JSON (:class:`~workbench.recorder.spec.Spec`) to the
standard input and later a word to stop it; the end of the input stops it as well, so a client
that dies never leaves a recorder behind. On the standard output come lines of JSON: ``ready``,
``progress``, ``saving``, ``done`` (with ``path``) or ``error``.

With ``--ahead`` it is a recorder for a capture to come (:func:`workbench.prepare`): it imports all
that captures use while it waits, and goes silently if none comes.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import sys
import traceback
from typing import Any

from workbench.errors import WorkbenchError
from workbench.recorder.capture_loop import CaptureLoop
from workbench.recorder.spec import Spec

LAST_WORDS_MS = 5000
AHEAD = "--ahead"
IDLE_S = 600.0
"""Longest wait for a capture ahead of which it was started."""
USED = (
    "pyarrow",
    "workbench.recorder.offcpu_source",
    "workbench.recorder.python_service",
    "workbench.recorder.stack_source",
    "workbench.recorder.tables",
    "workbench.store.writer",
    "workbench.probe.clib",
)
"""Modules that captures import when they need them."""


def tell(message: dict[str, Any]) -> None:
    """Send a status message.

    A client that has gone or does not read is no reason to lose or to delay the capture:
    progress is dropped then, and the last word waits five seconds at most.
    """
    poll = select.poll()
    poll.register(1, select.POLLOUT)
    patience = 0 if message["event"] == "progress" else LAST_WORDS_MS
    try:
        if poll.poll(patience):
            os.write(1, (json.dumps(message) + "\n").encode())
    except OSError:
        pass


def _read_line() -> str:
    data = bytearray()
    while not data.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            break
        data += byte
    return data.decode()


def _wait_ahead() -> bool:
    """Import what captures use, then wait for one; False if none comes."""
    for name in USED:
        importlib.import_module(name)
    waiting = select.poll()
    waiting.register(0, select.POLLIN)
    return any(event & select.POLLIN for _, event in waiting.poll(IDLE_S * 1000))


def main(*options: str) -> int:
    """Run one capture."""
    if AHEAD in options and not _wait_ahead():
        return 0
    stop_read, stop_write = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: os.write(stop_write, b"stop"))
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        text = _read_line()
        if AHEAD in options and not text:
            return 0
        loop = CaptureLoop(Spec.from_json(text), (0, stop_read), tell)
        path = loop.run()
    except WorkbenchError as error:
        return _fail(type(error).__name__, error.what, error.why, error.advice)
    except Exception as error:
        traceback.print_exc()
        why = f"{type(error).__name__}: {error}"
        return _fail("RecorderError", "The recorder failed.", why, "Please report this.")
    tell({"event": "done", "path": str(path), "reason": loop.reason})
    return 0


def _fail(kind: str, what: str, why: str, advice: str) -> int:
    tell({"event": "error", "type": kind, "what": what, "why": why, "advice": advice})
    return 1


class _WithoutPandas:
    """Keep pandas out of this process: 0.2 s and 40 MB at the first event.

    pyarrow imports it, where it is installed, to see whether a list is a Series.
    """

    def find_spec(self, name: str, *_: Any) -> None:  # of importlib.abc.MetaPathFinder
        if name == "pandas":
            raise ModuleNotFoundError("the recorder does without pandas", name=name)


if __name__ == "__main__":
    sys.meta_path.insert(0, _WithoutPandas())
    sys.exit(main(*sys.argv[1:]))
