"""How long the first event takes: ``LOAD session`` or ``LOAD recorder``; seconds by step.

``session`` calls :func:`workbench.capture` in a fresh process, as a notebook does, and waits until
a row is in a polars dataframe. ``recorder`` does the recorder's own steps one by one.
"""

from __future__ import annotations

import platform
import shutil
import sys
import time
from itertools import pairwise
from typing import Any

from benches.consumers import fail, say
from benches.harness import Load

STARTED = time.monotonic()


def session(load: Load) -> None:
    import workbench as wb

    marks = [("", time.perf_counter())]
    capture = wb.capture("syscalls", pid=load.root, progress=False).start()
    try:
        marks.append(("recorder ready", time.perf_counter()))
        live = capture.session
        marks.append(("session opened", time.perf_counter()))
        while not _rows(live):
            time.sleep(0.0005)
            live.refresh()
        marks.append(("row flushed", time.perf_counter()))
        frame = live["syscalls"].lazy().head(1).collect()
        assert frame.height == 1
        marks.append(("dataframe (imports polars)", time.perf_counter()))
    finally:
        finished = capture.stop()
        finished.close()
        shutil.rmtree(finished.path)
    steps = {name: b - a for (_, a), (name, b) in pairwise(marks)}
    say({"total": marks[-1][1] - marks[0][1], **steps})


def _rows(live: Any) -> int:
    """Rows so far; the recorder makes the table a moment after the manifest."""
    return live["syscalls"].num_rows if "syscalls" in live.tables else 0


def recorder(load: Load, begin: float) -> None:
    steps = {"Python starts": STARTED - begin}
    start = time.perf_counter()
    from workbench import kinds
    from workbench.recorder import capture_loop, targets
    from workbench.recorder.source import RING, Setup, Source
    from workbench.recorder.spec import Target
    from workbench.recorder.tables import make_source

    assert capture_loop
    steps["imports"] = time.perf_counter() - start
    start = time.perf_counter()
    values = targets.filter_values(Target(pid=load.root))
    tree = Source("process", Setup(values, RING, 0), {}, 1 << 21, watermark=1)
    steps["load process.bpf.o"] = time.perf_counter() - start
    start = time.perf_counter()
    shared = {name: tree.object.maps[name] for name in targets.SHARED}
    kind = kinds.find("syscalls")
    setup = Setup(values, RING, 0, shared)
    source = make_source(kind, setup, kind.check({}), platform.machine(), 0)
    steps["load syscalls.bpf.o, import pyarrow"] = time.perf_counter() - start
    start = time.perf_counter()
    tree.attach()
    source.start()
    steps["attach"] = time.perf_counter() - start
    source.close()
    tree.close()
    say({"total": sum(steps.values()), **steps})


if __name__ == "__main__":
    try:
        if sys.argv[2] == "session":
            session(Load.parse(sys.argv[1]))
        else:
            recorder(Load.parse(sys.argv[1]), float(sys.argv[3]))
    except Exception as error:  # the parent tells the user
        fail(f"{type(error).__name__}: {error}")
