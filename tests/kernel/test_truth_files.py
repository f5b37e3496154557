"""Files against strace, /proc/PID/io and /proc/PID/fd, and programs that know what they did."""

import errno
import json
import os
import re
import subprocess
import sys

import polars as pl
import pytest

import workbench as wb
from workbench.frames import files
from workbench.frames.folded import folded
from workbench.kinds.files import COVERED

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]

TEXTS = pl.col("path", "name", "op", "type", "comm").cast(pl.String)
# All kinds of calls, on files that are created, renamed, deleted, duplicated and missing. What it
# prints goes to a pipe; nothing else that it touches is in the directory.
PROGRAM = """
import os, sys
os.chdir(sys.argv[1])
def attempt(call, *arguments):
    try: call(*arguments)
    except OSError: pass
fd = os.open("first", os.O_RDWR | os.O_CREAT)
os.write(fd, b"x" * 1000)
os.pwrite(fd, b"y" * 10, 5000)
os.writev(fd, [b"ab", b"cde"])
os.pwritev(fd, [b"12", b"345"], 100)
os.fsync(fd); os.fdatasync(fd)
os.rename("first", "second")
os.lseek(fd, 0, 0)
for _ in range(7): os.read(fd, 100)
os.pread(fd, 50, 4990); os.readv(fd, [bytearray(3), bytearray(4)])
os.preadv(fd, [bytearray(8)], 10)
os.unlink("second")
copy = os.dup(fd)
os.close(fd)
os.write(copy, b"still there")
os.close(copy)
os.mkdir("dir")
directory = os.open("dir", os.O_RDONLY)
inner = os.open("inner", os.O_WRONLY | os.O_CREAT, dir_fd=directory)
os.write(inner, b"12345")
attempt(os.read, inner, 10)
attempt(os.open, "none", os.O_RDONLY)
attempt(os.open, "none", os.O_RDONLY)
attempt(os.open, "nothing", os.O_RDONLY, 0o777)
attempt(lambda: os.open("lost", os.O_RDONLY, dir_fd=directory))
attempt(os.open, sys.argv[1] + "/gone/far", os.O_RDONLY)
attempt(os.read, directory, 10)
os.symlink("dir/inner", "link")
os.close(os.open("link", os.O_RDONLY))
source = os.open("dir/../dir/inner", os.O_RDONLY)
target = os.open("target", os.O_RDWR | os.O_CREAT)
os.sendfile(target, source, 0, 5)
os.copy_file_range(source, target, 4)
os.close(os.open("n" * 255, os.O_WRONLY | os.O_CREAT))
"""
LINE = re.compile(r"(\w+)\((.*)\) += (-?\d+)(?:<(.*)>)?(?: (E\w+) \(.*\))? <[\d.]+>$")
FD = r"(?:\d+|AT_FDCWD)<(.*?)>"


def capture(tmp_path, command, name="s.wb", **options):
    return wb.capture("files", command=command, output=tmp_path / name, **options)


def python(program, *arguments):
    return [sys.executable, "-c", program, *map(str, arguments)]


def rows_of(session):
    return session["files"].polars().with_columns(TEXTS).sort("ts", maintain_order=True)


def below(rows, directory):
    return rows.filter(pl.col("path").str.starts_with(f"{directory}/"))


def strace(command, directory):
    """What strace sees of the covered calls below a directory: (name, path, result)."""
    calls = f"trace={','.join(COVERED)}"
    options = ["-y", "-T", "-s", "4096", "-e", calls, "-e", "signal=none", "-o", "/dev/stderr"]
    done = subprocess.run(
        ["strace", *options, *command], check=True, capture_output=True, text=True
    )
    found = []
    for line in done.stderr.splitlines():
        match = LINE.match(line)
        if match:
            result = -getattr(errno, match[5]) if match[5] else int(match[3])
            found += [(match[1], path, result) for path in paths_of(match)]
    deleted = " (deleted)"
    plain = [(name, path.removesuffix(deleted), result) for name, path, result in found]
    return [call for call in plain if call[1].startswith(f"{directory}/")]


def paths_of(match):
    """Paths that one line of strace is about."""
    name, arguments, opened = match.group(1, 2, 4)
    if opened is not None:
        return [opened]
    if name.startswith("open"):
        base, text = re.match(rf'(?:{FD}, )?"(.*?)"', arguments).groups()
        return [text if text.startswith("/") else f"{base}/{text}"]
    both = re.findall(FD, arguments)
    return both[::-1] if name == "sendfile" else both  # ours gives the file that is read first


@pytest.mark.parametrize("transport", ["ring", "perf"])
def test_calls_and_paths_equal_strace(tmp_path, transport):
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    seen = strace(python(PROGRAM, first), first)
    session = capture(tmp_path, python(PROGRAM, second), transport=transport)
    rows = below(rows_of(session), second)
    ours = [
        (name, path.replace(str(second), str(first), 1), ret)
        for name, path, ret in rows.select("name", "path", "ret").rows()
    ]
    assert ours == seen
    names = {name for name, _, _ in ours}
    assert {"openat", "readv", "pwritev2", "sendfile", "copy_file_range"} <= names
    assert session.losses["dropped"].sum() == 0


def test_operations_offsets_and_types(tmp_path):
    (tmp_path / "d").mkdir()
    rows = rows_of(capture(tmp_path, python(PROGRAM, tmp_path / "d")))
    mine = below(rows, tmp_path / "d")
    assert mine.filter(op="open", type="none")["errno"].to_list() == [2] * 5
    assert mine.filter(name="pwrite64").select("offset", "requested").rows() == [(5000, 10)]
    assert mine.filter(name="pwritev2").select("offset", "requested").rows() == [(100, 0)]
    reads = mine.filter((pl.col("name") == "read") & pl.col("errno").is_null())
    assert reads["offset"].to_list() == [0, 100, 200, 300, 400, 500, 600]
    failed = mine.filter((pl.col("op") == "read") & pl.col("errno").is_not_null())
    assert failed.select("type", "errno").rows() == [("regular", 9), ("directory", 21)]
    missing = files.failures(wb.open(tmp_path / "s.wb"))
    missing = missing.filter(pl.col("path").str.ends_with("/none"))
    assert missing.select("error", "calls").rows() == [("ENOENT", 2)]


def test_sums_made_in_the_kernel_equal_the_events(tmp_path):
    found = []
    for name, options in (("events", {}), ("sums", {"aggregate": True})):
        directory = tmp_path / name
        directory.mkdir()
        session = capture(tmp_path, python(PROGRAM, directory), f"{name}.wb", **options)
        frame = files.by_file(session)
        counts = frame.select("path", pl.col(pl.UInt64)).with_columns(
            pl.col("path").str.strip_prefix(f"{directory}/")
        )
        found.append(below(frame, directory).height)
        found.append(counts.filter(~pl.col("path").str.starts_with("/")).sort("path").rows())
        losses = session.losses.filter(kind="files")
        assert losses["produced"].sum() == losses["delivered"].sum()
    assert found[:2] == found[2:]
    rows = session["files_agg"].polars()
    assert (rows["read_hist"].arr.sum() == rows["reads"]).all()
    assert rows["operations"].sum() == losses["delivered"].sum()


IO = """
import json, os, sys
def io():
    lines = open("/proc/self/io").read().splitlines()
    return {k: int(v) for k, v in (line.split(": ") for line in lines)}
before = io()
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
for n in range(300): os.write(fd, b"z" * n)
os.lseek(fd, 0, 0)
while os.read(fd, 777): pass
out = os.open(sys.argv[1] + ".copy", os.O_WRONLY | os.O_CREAT)
os.sendfile(out, fd, 0, 20000)
after = io()
print(json.dumps([os.getpid(), after["rchar"] - before["rchar"], after["wchar"] - before["wchar"]]))
"""


def test_bytes_equal_proc_io(tmp_path, capfd):
    session = capture(tmp_path, python(IO, tmp_path / "file"))
    pid, read, written = json.loads(capfd.readouterr().out)
    rows = rows_of(session).with_row_index()
    # The counters are taken within the first read of each look at them.
    looks = rows.filter((pl.col("path") == f"/proc/{pid}/io") & (pl.col("op") == "read"))
    looks = looks.filter(pl.col("ret") > 0)["index"].to_list()
    assert len(looks) == 2
    between = rows.filter(pl.col("index").is_between(*looks, closed="left"))
    assert between.filter(op="read")["ret"].sum() == read
    assert between.filter(op="write")["ret"].sum() == written > 20000


NAMES = """
import json, os, socket, sys
os.chdir(sys.argv[1])
deep = "/".join(["d"] * 20)
os.makedirs(deep)
r, w = os.pipe()
a, b = socket.socketpair()
paths = ["plain", deep + "/f", "/dev/shm/" + sys.argv[2], "caf\\u00e9 \\n"]
fds = [os.open(p, os.O_RDWR | os.O_CREAT) for p in paths]
fds += [os.open("/proc/self/stat", os.O_RDONLY), w, a.fileno(), os.memfd_create("mine")]
fds += [os.open("/dev/null", os.O_WRONLY), os.eventfd(0)]
names = {}
for fd in fds:
    names[fd] = os.readlink(f"/proc/self/fd/{fd}")
    try: os.write(fd, b"12345678")
    except OSError: pass
os.unlink("/dev/shm/" + sys.argv[2])
print(json.dumps(names))
"""


def test_names_equal_proc_fd(tmp_path, capfd):
    (tmp_path / "d").mkdir()
    session = capture(tmp_path, python(NAMES, tmp_path / "d", f"workbench-{os.getpid()}"))
    names = {int(fd): text for fd, text in json.loads(capfd.readouterr().out).items()}
    rows = rows_of(session).filter((pl.col("op") == "write") & pl.col("fd").is_in(list(names)))
    ours = dict(rows.select("fd", "path").rows())
    assert ours == {fd: text.removesuffix(" (deleted)") for fd, text in names.items()}
    types = dict(rows.select("path", "type").rows())
    assert types["/dev/null"] == "character"
    assert {"pipe", "socket", "other"} <= set(types.values())


def test_many_paths_are_each_told(tmp_path):
    program = (
        "import os, sys; os.chdir(sys.argv[1])\nfor n in range(3000): "
        "os.close(os.open(f'f{n}', os.O_CREAT | os.O_WRONLY))"
    )
    (tmp_path / "d").mkdir()
    session = capture(tmp_path, python(program, tmp_path / "d"))
    opened = below(rows_of(session), tmp_path / "d").filter(op="open")["path"].to_list()
    assert opened == [f"{tmp_path}/d/f{n}" for n in range(3000)]


WAIT = """
import os, time
def now(): return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
r, w = os.pipe()
if not os.fork():
    time.sleep(0.2)
    os.write(w, b"now")
    os._exit(0)
start = now()
os.read(r, 10)
print(now() - start)
os.wait()
"""


def test_a_read_takes_as_long_as_the_program_waits(tmp_path, capfd):
    session = capture(tmp_path, python(WAIT))
    measured = int(capfd.readouterr().out)
    reads = rows_of(session).filter(op="read", type="pipe")
    longest = reads["latency"].cast(pl.Int64).max()
    # The other process may have begun to sleep some time before this one began to read.
    assert measured - longest < 100_000_000
    assert longest <= measured


DEEP = """
import os, sys
os.chdir(sys.argv[1])
for n in range(70):
    os.mkdir("below"); os.chdir("below")
os.close(os.open("file", os.O_CREAT | os.O_WRONLY))
"""


def test_paths_that_are_too_deep_say_so(tmp_path):
    session = capture(tmp_path, python(DEEP, tmp_path), regular=True)
    rows = rows_of(session).filter(pl.col("path").str.ends_with("/below/file"))
    assert set(rows["path"].str.slice(0, 10)) == {".../below/"}
    assert set(rows_of(session)["type"]) <= {"regular", "none"}


STACKS = """
import os, sys, time
def keeper(fd):
    os.write(fd, b"x")
fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
for _ in range(40):  # the interpreter is found some time after it began
    time.sleep(0.05)
    keeper(fd)
"""


def test_stacks_tell_who_wrote(tmp_path):
    session = capture(tmp_path, python(STACKS, tmp_path / "f"), stacks=True)
    written = session.where(expr=(pl.col("path").cast(pl.String) == f"{tmp_path}/f"))
    stacks = folded(written, "files")
    count = stacks.filter(pl.col("stack").str.contains("keeper"))["weight"].sum()
    assert 10 <= count <= 40
