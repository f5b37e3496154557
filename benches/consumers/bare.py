"""The workbench's drain alone: ``LOAD ring|perf`` copies every record out, and writes nothing."""

from __future__ import annotations

import platform
import select
import sys

from benches.consumers import fail, serve
from benches.harness import Load
from workbench import kinds
from workbench.errors import WorkbenchError
from workbench.recorder import targets
from workbench.recorder.source import PERF, RING, Setup, Source
from workbench.recorder.spec import Target

WAIT_S = 0.05
RING_BYTES, PERF_BYTES = 1 << 26, 1 << 24  # one ring; a perf buffer for each CPU


def main(load: Load, transport: str) -> None:
    target = Target(pid=load.root)
    kind = kinds.find("syscalls")
    settings = kind.settings(kind.check({}), platform.machine())
    code = PERF if transport == "perf" else RING
    setup = Setup(targets.filter_values(target), code, 0)
    source = Source("syscalls", setup, settings, PERF_BYTES if code == PERF else RING_BYTES)
    try:
        assert source.buffer
        targets.add_processes(target, source.object.maps["wb_targets"])
        poll = select.epoll()
        for fd in source.buffer.fds:
            poll.register(fd, select.EPOLLIN | select.EPOLLET)
        source.attach()
        delivered = 0
        serve(load, lambda: {"delivered": delivered, "dropped": source.dropped})
        while True:
            poll.poll(WAIT_S)
            for span in source.buffer.drain():
                delivered += len(span.records(source.layout.dtype).copy())
    finally:
        source.close()


if __name__ == "__main__":
    try:
        main(Load.parse(sys.argv[1]), sys.argv[2])
    except WorkbenchError as error:
        fail(str(error))
