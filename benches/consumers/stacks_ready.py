"""How long a capture of stacks takes to be ready: ``PID STACKS``, seconds.

``STACKS`` is ``python``, ``native`` (without the frames of Python), ``kernel`` (no user stacks) or
``prepared`` (as python, by a recorder that waits for it, as in a notebook).
"""

from __future__ import annotations

import shutil
import sys
import time

import workbench as wb
from benches.consumers import fail, say

IMPORTED_S = 2.0
"""By then a recorder that was prepared has imported all it needs."""


def measure(pid: int, stacks: str) -> None:
    """Start a capture as a notebook does, in a fresh process."""
    parameters = {"user_stacks": stacks != "kernel"}
    parameters["python_stacks"] = stacks in ("python", "prepared")
    if stacks == "prepared":
        wb.prepare()
        time.sleep(IMPORTED_S)
    start = time.perf_counter()
    capture = wb.capture({"cpu": parameters}, pid=pid, wait=False, progress=False)
    made = time.perf_counter()
    capture.start()
    ready = time.perf_counter()
    finished = capture.stop()
    finished.close()
    shutil.rmtree(finished.path)
    say({"total": ready - start, "client imports": made - start, "recorder": ready - made})


if __name__ == "__main__":
    try:
        measure(int(sys.argv[1]), sys.argv[2])
    except Exception as error:  # the parent tells the user
        fail(f"{type(error).__name__}: {error}")
