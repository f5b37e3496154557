"""BCC's Python callbacks: ``LOAD perf WAKEUP_EVENTS PAGES NAME``, ``LOAD ring FLAGS PAGES NAME``.

NAME is that of a program in ``benches/bpf``.

The callback does the least that is of use: it casts the event, as BCC's own tools do, and counts.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benches import bcc_tree
from benches.consumers import fail, say, serve
from benches.harness import Load

SOURCES = Path(__file__).parent.parent / "bpf"
delivered = 0


def program(
    bcc: Any, load: Load, transport: str, setting: int, pages: int, name: str = "syscalls"
) -> Any:
    """Compile and load; the raw tracepoints are attached by then."""
    wanted = "||".join(f"(p)=={pid}" for pid in load.pids)
    flags = [f"-DWANTED(p)=({wanted})", "-Wno-everything"]
    if transport == "ring":
        flags += [f"-DRING_PAGES={pages}", f"-DRING_FLAGS={setting}"]
    texts = [(SOURCES / file).read_text() for file in ("output.bcc.h", f"{name}.bcc.c")]
    return bcc.BPF(text="".join(texts), cflags=flags)


def listen(bpf: Any, transport: str, setting: int, pages: int, callback: Any) -> Any:
    """Open the buffer; return the function that polls it."""
    events = bpf["events"]
    if transport == "ring":
        events.open_ring_buffer(callback)
        return bpf.ring_buffer_poll
    events.open_perf_buffer(callback, page_cnt=pages, wakeup_events=setting)
    return bpf.perf_buffer_poll


def main(load: Load, transport: str, setting: int, pages: int, name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="workbench-bench-") as directory:
        try:
            bcc = bcc_tree.load(Path(directory))
        except ImportError as error:
            fail(str(error))
        try:
            bpf = program(bcc, load, transport, setting, pages, name)
        except Exception as error:
            fail(f"BCC: {error}")
    events, dropped = bpf["events"], bpf["dropped"]

    def callback(_cpu: int, data: Any, _size: int) -> None:
        global delivered  # noqa: PLW0603 - the cheapest way to count
        events.event(data)
        delivered += 1

    poll = listen(bpf, transport, setting, pages, callback)
    serve(load, lambda: {"delivered": delivered, "dropped": dropped.sum(0).value})
    while True:
        poll()


def first(load: Load) -> None:
    """Say how long each step to the first callback takes, in seconds, and end."""
    with tempfile.TemporaryDirectory(prefix="workbench-bench-") as directory:
        start = time.perf_counter()
        try:
            bcc = bcc_tree.load(Path(directory))
        except ImportError as error:
            fail(str(error))
        imported = time.perf_counter()
        bpf = program(bcc, load, "perf", 1, 8)
        loaded = time.perf_counter()
    seen: list[float] = []
    poll = listen(bpf, "perf", 1, 8, lambda *_: seen.append(time.perf_counter()))
    while not seen:
        poll(100)
    say(
        {
            "import": imported - start,
            "compile and load": loaded - imported,
            "first row": seen[0] - loaded,
            "total": seen[0] - imported,
        }
    )


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.argv[2] == "first":
        first(Load.parse(sys.argv[1]))
    else:
        main(Load.parse(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
