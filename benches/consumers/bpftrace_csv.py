"""bpftrace that prints CSV lines, read by a dataframe library: ``LOAD pandas|polars PAGES NAME``.

Neither reader takes rows from an endless pipe one by one: pandas reads in chunks, polars gets
blocks of whole lines.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import IO

from benches.consumers import fail, say, serve
from benches.harness import Load

CHUNK_ROWS, BLOCK_BYTES = 5_000, 1 << 19
COLUMNS = {
    "syscalls": [
        *("ts", "latency", "ret", "nr"),
        *(f"a{i}" for i in range(6)),
        "pid",
        "tid",
        "cpu",
    ],
    "entry": ["ts", "nr", "first", "third", "pid", "tid", "cpu"],
}
# bpftrace needs tracefs for tracepoints. Where it is not mounted it gets one in a mount
# namespace of its own, which goes when bpftrace goes.
MOUNT = 'test -d /sys/kernel/tracing/events || mount -t tracefs none /sys/kernel/tracing; exec "$@"'

PROGRAMS = {
    "syscalls": """
tracepoint:raw_syscalls:sys_enter /WANTED/ {
  @ts[tid] = nsecs; @a0[tid] = args->args[0]; @a1[tid] = args->args[1];
  @a2[tid] = args->args[2]; @a3[tid] = args->args[3]; @a4[tid] = args->args[4];
  @a5[tid] = args->args[5];
}
tracepoint:raw_syscalls:sys_exit /(WANTED) && @ts[tid]/ {
  printf("%llu,%llu,%lld,%d,%llu,%llu,%llu,%llu,%llu,%llu,%d,%d,%d\\n", @ts[tid],
    nsecs - @ts[tid], args->ret, args->id, @a0[tid], @a1[tid], @a2[tid], @a3[tid], @a4[tid],
    @a5[tid], pid, tid, cpu);
}
""",
    "entry": """
tracepoint:raw_syscalls:sys_enter /WANTED/ {
  printf("%llu,%d,%llu,%llu,%d,%d,%d\\n", nsecs, args->id, args->args[0], args->args[2], pid,
    tid, cpu);
}
""",
}

lost = 0


def start(load: Load, pages: int, name: str = "syscalls") -> subprocess.Popen[bytes]:
    """Start bpftrace; its first lines are on their way when it has attached."""
    if not shutil.which("bpftrace"):
        fail("bpftrace is not installed")
    wanted = " || ".join(f"pid == {pid}" for pid in load.pids)
    command = ["bpftrace", "-q", "-B", "full", "-e", PROGRAMS[name].replace("WANTED", wanted)]
    return subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", MOUNT, "sh", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "BPFTRACE_PERF_RB_PAGES": str(pages)},
    )


class Lines(io.RawIOBase):
    """The CSV lines of bpftrace's output; its "Lost N events" lines are counted, not passed."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._rest = b""
        self.ended = False

    def readable(self) -> bool:
        return True

    def block(self) -> bytes:
        """Return some whole lines."""
        global lost  # noqa: PLW0603 - the signal handler reads it
        new = os.read(self._stream.fileno(), BLOCK_BYTES)
        self.ended = not new
        data = self._rest + new
        cut = data.rfind(b"\n") + 1
        data, self._rest = data[:cut], data[cut:]
        if b"Lost" in data:
            kept = []
            for line in data.splitlines(keepends=True):
                if line.startswith(b"Lost"):
                    lost += int(line.split()[1])
                else:
                    kept.append(line)
            data = b"".join(kept)
        return data

    def readinto(self, target: memoryview) -> int:
        while not (data := self.block()):
            if self.ended:
                return 0
        assert len(data) <= len(target)
        target[: len(data)] = data
        return len(data)


def pandas_rows(lines: Lines, columns: list[str]) -> Iterator[int]:
    """Read chunks with ``pandas.read_csv``; give the number of rows of each."""
    import pandas as pd

    text = io.BufferedReader(lines, 2 * BLOCK_BYTES)
    for frame in pd.read_csv(text, names=columns, chunksize=CHUNK_ROWS):
        yield len(frame)


def polars_rows(lines: Lines, columns: list[str]) -> Iterator[int]:
    """Read blocks with ``polars.read_csv``; give the number of rows of each."""
    import polars as pl

    while not lines.ended:
        if data := lines.block():
            yield pl.read_csv(data, has_header=False, new_columns=columns).height


READERS: dict[str, Callable[[Lines, list[str]], Iterator[int]]] = {
    "pandas": pandas_rows,
    "polars": polars_rows,
}


def main(load: Load, reader: str, pages: int, name: str) -> None:
    tracer = start(load, pages, name)
    assert tracer.stdout
    delivered = 0

    def counts() -> dict[str, int | None]:
        return {"delivered": delivered, "dropped": lost}

    for rows in READERS[reader](Lines(tracer.stdout), COLUMNS[name]):
        if not delivered:  # now it is attached
            serve(load, counts, (tracer.pid,))
        delivered += rows
    fail("bpftrace ended")


def first(load: Load) -> None:
    """Say how long it takes from the start to the first line, in seconds, and end."""
    begin = time.perf_counter()
    tracer = start(load, 64)
    assert tracer.stdout
    got = tracer.stdout.readline()
    took = time.perf_counter() - begin
    tracer.kill()
    tracer.wait()
    if not got:
        fail("bpftrace ended without a line")
    say({"total": took})


if __name__ == "__main__":
    if sys.argv[2] == "first":
        first(Load.parse(sys.argv[1]))
    else:
        main(Load.parse(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4])
