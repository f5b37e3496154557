"""Block requests against what the kernel counts of a disk and a process, and against dd."""

import json
import subprocess
import sys

import polars as pl
import pytest
from disks import loop_disk, mounted

import workbench as wb
from workbench.frames import block

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]

COUNT, SIZE = 200, 65536
NS = pl.col("queued", "service", "ts").cast(pl.Int64)


@pytest.fixture
def disk(tmp_path):
    with loop_disk(tmp_path) as made:
        yield made


def dd(disk, direction, count=COUNT, size=SIZE):
    """Requests of exactly that number and size: direct I/O, one at a time."""
    ends = [f"if={disk.device}", "of=/dev/null", "iflag=direct"]
    if direction == "write":
        ends = ["if=/dev/zero", f"of={disk.device}", "oflag=direct"]
    return ["dd", *ends, f"bs={size}", f"count={count}"]


def capture(tmp_path, command, kinds="block", **options):
    return wb.capture(kinds, command=command, output=tmp_path / "s.wb", **options)


def rows_of(session):
    texts = pl.col("device", "op", "cause", "comm").cast(pl.String)
    return session["block"].polars().with_columns(texts)


def unseen(session):
    """Requests whose end the kernel did not show: counted, by their reason alone."""
    losses = [row for row in session.manifest.losses if row["kind"] == "block"]
    assert {reason for row in losses for reason in row["dropped"]} <= {"unseen"}
    assert all(r["produced"] == r["delivered"] + sum(r["dropped"].values()) for r in losses)
    return sum(row["dropped"].get("unseen", 0) for row in losses)


@pytest.mark.parametrize(("direction", "transport"), [("read", "ring"), ("write", "perf")])
def test_direct_io_equals_the_counts_of_the_disk(tmp_path, disk, direction, transport, capfd):
    before = disk.counts()
    session = capture(tmp_path, dd(disk, direction), transport=transport)
    after = disk.counts()
    rows = rows_of(session)
    on_disk = rows.filter(pl.col("device") == disk.name)
    assert (
        on_disk.height + unseen(session)
        == COUNT
        == after[f"{direction}s"] - before[f"{direction}s"]
    )
    sectors = after[f"{direction}_sectors"] - before[f"{direction}_sectors"]
    assert (on_disk["bytes"] == SIZE).all()
    assert sectors * 512 == COUNT * SIZE
    assert on_disk["pid"].n_unique() == 1
    assert set(on_disk["comm"]) == {"dd"}
    assert set(on_disk["op"]) == {direction}
    assert set(on_disk["cause"]) == {"queued"}
    first = [row["sector"] for row in on_disk.sort("ts").to_dicts()]
    expected = range(0, COUNT * SIZE // 512, SIZE // 512)
    assert set(first) <= set(expected)
    assert first == sorted(first)
    assert on_disk["failed"].sum() == on_disk["readahead"].sum() == 0


def test_times_lie_within_the_system_call_that_waits(tmp_path, disk, capfd):
    session = capture(tmp_path, dd(disk, "write"), ["block", "syscalls"])
    requests = rows_of(session).filter(pl.col("device") == disk.name).with_columns(NS).sort("ts")
    calls = session["syscalls"].polars().filter(pl.col("name").cast(pl.String) == "write")
    calls = calls.filter(pl.col("ret") == SIZE).select(
        pl.col("ts").cast(pl.Int64).alias("begin"),
        (pl.col("ts").cast(pl.Int64) + pl.col("latency").cast(pl.Int64)).alias("end"),
    )
    assert calls.height == COUNT
    inside = requests.join_asof(calls.sort("begin"), left_on="ts", right_on="begin")
    end = pl.col("ts") + pl.col("queued") + pl.col("service")
    assert inside.filter((pl.col("begin") <= pl.col("ts")) & (end <= pl.col("end"))).height == (
        requests.height
    )
    assert inside["begin"].n_unique() == requests.height
    assert (requests["service"] > 0).all()


def test_counts_made_in_the_kernel_equal_those_of_the_disk(tmp_path, disk, capfd):
    before = disk.counts()
    session = capture(tmp_path, dd(disk, "write", size=4096), aggregate=True)
    written = disk.counts()["writes"] - before["writes"]
    found = block.by_size(session).filter(device=disk.name)
    assert found.select("op", "size_class").rows() == [("write", 12)]
    assert found["requests"].sum() + unseen(session) == COUNT == written
    assert found["bytes"].sum() == 4096 * found["requests"].sum()
    rows = session["block_agg"].polars()
    for histogram in ("queued_hist", "service_hist"):
        assert (rows[histogram].arr.sum() == rows["requests"]).all()


def test_a_stranger_on_the_same_disk_is_left_out(tmp_path, disk, capfd):
    stranger = subprocess.Popen(dd(disk, "read", 2000, 4096), stderr=subprocess.DEVNULL)
    session = capture(tmp_path, dd(disk, "write", 50))
    stranger.wait()
    rows = rows_of(session)
    assert stranger.pid not in rows["pid"].to_list()
    assert rows.filter(pl.col("device") == disk.name).height + unseen(session) == 50


def test_errors_of_the_disk(tmp_path, disk, capfd):
    subprocess.run(["truncate", "-s", "1M", disk.file], check=True)  # behind that nothing is read
    read = ["dd", f"if={disk.device}", "of=/dev/null", "bs=64k", "skip=64", "count=1"]
    session = capture(tmp_path, ["sh", "-c", " ".join([*read, "iflag=direct", "|| true"])])
    rows = rows_of(session).filter(pl.col("device") == disk.name)
    assert rows["failed"].to_list() == [1]
    assert rows["sector"].to_list() == [64 * 128]
    assert block.by_device(session).filter(device=disk.name)["failures"].to_list() == [1]


READ = """
import json, os, sys
def io(): return dict(line.split(": ") for line in open("/proc/self/io").read().splitlines())
fd = os.open(sys.argv[1], os.O_RDONLY)
before = int(io()["read_bytes"])
while os.read(fd, 1 << 16): pass
print(json.dumps([os.getpid(), int(io()["read_bytes"]) - before]))
"""


def test_reads_through_the_page_cache_equal_proc_io(tmp_path, disk, capfd):
    with mounted(disk, tmp_path / "mnt") as root:
        check_reads(tmp_path, disk, root / "file", capfd)


def check_reads(tmp_path, disk, file, capfd):
    file.write_bytes(bytes(range(256)) * 4096 * 3)
    forget = (
        "import os, sys; fd = os.open(sys.argv[1], os.O_RDWR); os.fsync(fd); "
        "os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)"
    )
    subprocess.run([sys.executable, "-c", forget, file], check=True)
    session = capture(tmp_path, [sys.executable, "-c", READ, file])
    pid, counted = json.loads(capfd.readouterr().out)
    data = rows_of(session).filter((pl.col("device") == disk.name) & (pl.col("metadata") == 0))
    mine = data.filter((pl.col("pid") == pid) & (pl.col("op") == "read"))
    assert counted == file.stat().st_size
    if not unseen(session):
        assert mine["bytes"].sum() == counted
    assert mine.filter(pl.col("readahead") == 1).height > 0


WRITE = """
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
for _ in range(48): os.write(fd, b"x" * 65536)
print(os.getpid(), flush=True)
os.close(fd)
os.execvp("sync", ["sync", "--file-system", sys.argv[1]])
"""


def test_what_kernel_threads_write_back_counts_for_who_wrote(tmp_path, disk, capfd):
    # Elsewhere what others wrote just before and behind this file may be in the same request.
    with mounted(disk, tmp_path / "mnt") as root:
        session = capture(tmp_path, [sys.executable, "-c", WRITE, root / "file"])
    writer = int(capfd.readouterr().out)
    rows = rows_of(session).filter(pl.col("device") == disk.name)
    back = rows.filter(pl.col("cause") == "writeback")
    if not unseen(session):
        assert back["bytes"].sum() == 48 * 65536
    assert set(back["pid"]) == {writer}
    assert set(back["op"]) == {"write"}
    people = block.by_process(session).filter(pid=writer, op="write", device=disk.name)
    assert people["bytes"].sum() >= back["bytes"].sum()
