"""The page cache against mincore(2), and programs that know what they read and wrote."""

import json
import mmap
import subprocess
import sys

import polars as pl
import pytest
from disks import loop_disk, mounted

import workbench as wb
from workbench.frames import pagecache

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]

PAGE = mmap.PAGESIZE
PAGES = 500
TEXTS = pl.col("path", "op", "comm").cast(pl.String)
RESIDENT = """
import ctypes, mmap, os, sys, json
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
def resident(fd):
    size = os.fstat(fd).st_size
    if not size: return 0
    address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
    told = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
    assert libc.mincore(address, size, told) == 0
    libc.munmap(address, size)
    return sum(byte & 1 for byte in told)
def forget(fd):
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
def read(fd, size):
    os.lseek(fd, 0, 0)
    while os.read(fd, size): pass
"""


@pytest.fixture
def root(tmp_path):
    """The root of a file system in which nobody else has files."""
    with loop_disk(tmp_path) as disk, mounted(disk, tmp_path / "mnt") as made:
        yield made


def capture(tmp_path, program, *arguments, name="s.wb", **options):
    command = [sys.executable, "-c", RESIDENT + program, *map(str, arguments)]
    return wb.capture("pagecache", command=command, output=tmp_path / name, **options)


def of_file(session, path):
    """What the frame says of a file."""
    found = pagecache.by_file(session).filter(path=str(path)).to_dicts()
    assert session.losses["dropped"].sum() == 0
    return found[0] if found else {}


TWICE = """
fd = os.open(sys.argv[1], os.O_RDWR)
forget(fd)
counts = [resident(fd)]
for size in map(int, sys.argv[2:]):
    read(fd, size)
    counts.append(resident(fd))
forget(fd)
counts.append(resident(fd))
print(json.dumps(counts))
"""


def made_file(root):
    file = root / "file"
    file.write_bytes(b"x" * (PAGE * (PAGES - 1) + 10))
    # Out of memory before the capture, so that it begins with nothing of it.
    subprocess.run(["sync", file], check=True)
    return file


@pytest.mark.parametrize(("size", "aggregate"), [(PAGE, True), (3 * PAGE, False), (1 << 17, False)])
def test_each_page_is_a_miss_and_then_a_hit(tmp_path, root, size, aggregate, capfd):
    file = made_file(root)
    session = capture(tmp_path, TWICE, file, size, size, aggregate=aggregate)
    before, first, second, after = json.loads(capfd.readouterr().out)
    assert (first, second) == (PAGES, PAGES)
    found = of_file(session, file)
    assert found["misses"] == found["added"] == first - before
    assert found["looked_up"] == 2 * PAGES
    assert found["hits"] == 2 * PAGES - (first - before)
    # What it drops at first was there since the file was written.
    assert found["removed"] >= second - after
    assert found["dirtied"] == found["written"] == 0


def test_reads_that_overlap_pages(tmp_path, root, capfd):
    file = made_file(root)
    size = 1000  # 4 to 6 reads look each page up
    session = capture(tmp_path, TWICE, file, size)
    length, reads = file.stat().st_size, range(0, file.stat().st_size, size)
    touched = sum((min(at + size, length) - 1) // PAGE - at // PAGE + 1 for at in reads)
    assert of_file(session, file)["looked_up"] == touched


def test_events_say_where_and_when(tmp_path, root, capfd):
    file = made_file(root)
    session = capture(tmp_path, TWICE, file, 1 << 16)
    rows = session["pagecache"].polars().with_columns(TEXTS).filter(path=str(file)).sort("ts")
    added = rows.filter(op="add")
    runs = [set(range(r["index"], r["index"] + r["pages"])) for r in added.to_dicts()]
    assert set().union(*runs) == set(range(PAGES))
    assert sum(map(len, runs)) == PAGES
    looked = rows.filter(op="lookup")
    assert looked["index"].to_list() == list(range(0, PAGES, 16))
    assert looked["pages"].sum() == PAGES
    cells = pagecache.places(session, str(file), "lookup", parts=10)
    assert cells["pages"].sum() == PAGES


WRITE = """
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
for _ in range(300): os.write(fd, b"y" * mmap.PAGESIZE)
print(resident(fd))
if sys.argv[2] == "fsync":
    os.fsync(fd)
else:
    os.execvp("sync", ["sync", "--file-system", sys.argv[1]])
"""


@pytest.mark.parametrize(("how", "aggregate"), [("fsync", True), ("syncfs", False)])
def test_what_is_written_is_dirty_and_written_back(tmp_path, root, how, aggregate, capfd):
    session = capture(tmp_path, WRITE, root / "new", how, aggregate=aggregate)
    assert json.loads(capfd.readouterr().out) == 300
    found = of_file(session, root / "new")
    assert found["added"] == found["dirtied"] == found["created"] == found["written"] == 300
    assert found["misses"] == found["looked_up"] == 0
    if not aggregate:
        rows = session["pagecache"].polars().with_columns(TEXTS)
        back = rows.filter((pl.col("path") == f"{root}/new") & (pl.col("op") == "write"))
        assert set(back["by_kernel"]) == {int(how == "syncfs")}
        assert back["pid"].unique().to_list() == rows.filter(op="dirty")["pid"].unique().to_list()


MAPPED = """
fd = os.open(sys.argv[1], os.O_RDWR)
forget(fd)
before = resident(fd)
m = mmap.mmap(fd, 0)
total = sum(m[at] for at in range(0, len(m), mmap.PAGESIZE))
m[0] = 1
m.flush()
print(json.dumps([before, resident(fd)]))
m.close()
os.unlink(sys.argv[1])
os.close(fd)
"""


def test_mapped_files_and_deleted_ones(tmp_path, root, capfd):
    file = made_file(root)
    session = capture(tmp_path, MAPPED, file)
    before, after = json.loads(capfd.readouterr().out)
    found = of_file(session, file)
    assert (found["added"], after) == (PAGES - before, PAGES)
    assert found["faulted"] > 0
    # At most: pages are mapped around faults, and what is not mapped so takes a fault.
    assert found["mapped"] + found["faulted"] >= PAGES
    assert found["dirtied"] >= 1
    assert found["removed"] >= PAGES  # when the file is gone, under the name that it had


DISK = """
fd = os.open(sys.argv[1], os.O_RDONLY)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
for _ in range(16): os.read(fd, 65536)
"""


def test_pages_of_a_disk_itself(tmp_path, capfd):
    with loop_disk(tmp_path) as disk:
        session = capture(tmp_path, DISK, disk.device)
    assert of_file(session, disk.device)["looked_up"] == 16 * 65536 // PAGE
