from __future__ import annotations

import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workbench.errors import SessionNotFoundError
from workbench.store.mapping import Mapped

READS_AND_EXITS = """
import atexit, ctypes, os, sys
from pathlib import Path
import pyarrow as pa
import pyarrow.parquet as pq
from workbench.store.mapping import Mapped

def read():
    content = pa.BufferReader(Mapped(Path(sys.argv[1])).buffer)
    print(pq.ParquetFile(content).read_row_group(0).num_rows)

# The last that happens before the interpreter's end: 0.3 s in which only other threads run, but
# none gets the interpreter's lock, which PyDLL keeps.
atexit.register(ctypes.PyDLL(None).usleep, 300_000)
pa.set_cpu_count(1)
read()
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
for thread in map(int, os.listdir("/proc/self/task")):
    if thread != os.getpid():
        os.sched_setaffinity(thread, os.sched_getaffinity(0))
        os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
read()
"""


def test_bytes_outlive_the_object_and_a_release(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 10_000 + b"end")
    mapped = Mapped(path)
    part = mapped.buffer.slice(10_000)
    mapped.release()
    assert part.to_pybytes() == b"end"
    del mapped
    path.unlink()
    assert part.to_pybytes() == b"end"


def test_empty_and_missing_files(tmp_path):
    (tmp_path / "a").touch()
    mapped = Mapped(tmp_path / "a")
    mapped.release()
    assert mapped.buffer.size == 0
    with pytest.raises(SessionNotFoundError):
        Mapped(tmp_path / "b")


def test_a_name_that_is_no_text(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff")
    path.write_bytes(b"content")
    assert Mapped(path).buffer.to_pybytes() == b"content"


def test_an_exit_before_threads_of_arrow_let_go(tmp_path):
    """They run only while the main thread sleeps, which it does on its way to the exit."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [1, 2, 3], "b": [4, 5, 6]}), path)
    child = [sys.executable, "-c", READS_AND_EXITS, str(path)]
    run = subprocess.run(child, capture_output=True, text=True, timeout=120)
    assert (run.stdout, run.stderr, run.returncode) == ("3\n3\n", "", 0)
