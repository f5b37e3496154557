"""A recorder without a kernel: speaks the protocol, and writes a synthetic session.

``python_of(path)`` writes an interpreter that runs this file in place of ``-m
workbench.recorder``; what it does is said by the environment variable FAKE_RECORDER:

    ok       records until it is told to stop or the target's process ends
    error    says that it is not permitted
    die      is killed in mid-capture; what was flushed is there
    early    dies before anything is there
    noise    prints what is no message, and never says that it is ready
    bare     is ready, but makes no session
    problem  as ok, but something went wrong on the way
    orders   makes no session; answers as the name of the probe in an order says
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any


def python_of(folder: Path) -> str:
    """Write the interpreter; return its path."""
    path = folder / "fake-python"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "$@"\n')
    path.chmod(0o755)
    return str(path)


def told_spec(folder: Path) -> dict[str, Any]:
    """Return what the client asked for, as the fixture ``place`` keeps it."""
    spec: dict[str, Any] = json.loads((folder / "spec.json").read_text())
    return spec


def tell(**message) -> None:
    os.write(1, (json.dumps(message) + "\n").encode())


def main() -> None:
    """Run."""
    how = os.environ.get("FAKE_RECORDER", "ok")
    spec = json.loads(sys.stdin.readline())
    if log := os.environ.get("FAKE_RECORDER_LOG"):
        Path(log).write_text(json.dumps(spec))
    if how == "error":
        tell(event="error", type="NotPermittedError", what="No.", why="EPERM", advice="Ask.")
        sys.exit(1)
    if how == "early":
        print("something is broken", file=sys.stderr)
        sys.exit(3)
    if how == "noise":
        os.write(1, b"hello\n[]\n17\n{}\n")
        time.sleep(60)
    pid = spec["target"]["pid"]
    watch = [os.pidfd_open(pid)] if pid else []
    tell(event="ready", start_ns=0)
    if how == "bare":
        time.sleep(60)
    if how == "orders":
        answer()
    record(spec, how, watch)


def answer() -> None:
    """Answer orders until the end."""
    for line in iter(sys.stdin.readline, ""):
        order = json.loads(line)
        if order["probe"] == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if order["probe"] == "late":  # the answer to another one comes first
            tell(event="switched", number=order["number"] + 100)
        if order["probe"] == "refused":
            words = {"type": "AttachError", "what": "No.", "why": "gone", "advice": "Ask."}
            tell(event="refused", number=order["number"], **words)
        elif order["probe"] != "silent":
            tell(event="switched", number=order["number"])


def record(spec, how, watch) -> None:
    from synthetic import final_changes, write_streams

    start = time.monotonic()
    writer = write_streams(spec["output"], kinds=list(spec["kinds"]), rows=300)
    tell(event="progress", elapsed=0.1, rows=300, dropped=0)
    if how == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    reason = ""
    while not reason:
        left = 100 if spec["duration"] is None else start + spec["duration"] - time.monotonic()
        ready = select.select([0, *watch], [], [], max(0, left))[0]
        reason = "stopped by the user" if 0 in ready else "the target ended"
        reason = reason if ready else "the duration is over"
    tell(event="saving", elapsed=time.monotonic() - start, rows=600, dropped=12)
    problems = ("one frame has no name",) if how == "problem" else ()
    changes = final_changes(list(spec["kinds"]), 300)
    writer.finish(reason=reason, **changes, problems=problems)
    if spec["pack"]:
        from workbench.recorder.capture_loop import pack_in_place

        pack_in_place(Path(spec["output"]))
    tell(event="done", path=spec["output"], reason=reason)


if __name__ == "__main__":
    main()
