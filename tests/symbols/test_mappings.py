import ctypes
import mmap
import os
import subprocess

import numpy as np
import pytest
from programs import compiled, running

from workbench.symbols.mappings import (
    MAX_SNAPSHOTS,
    MappingHistory,
    Snapshot,
    boottime,
    read_maps,
)

TEXT = b"""\
55d0c0000000-55d0c0001000 r--p 00000000 fe:00 26723                      /usr/bin/with space
55d0c0001000-55d0c0002000 r-xp 00001000 fe:00 26723                      /usr/bin/with space
55d0c1000000-55d0c1021000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000001000 rwxp 00000000 00:00 0
7f0000002000-7f0000003000 r-xp 00000000 00:01 1234                       /memfd:code (deleted)
7f0000003000-7f0000004000 r-xp 00002000 fe:10 77                         /tmp/a\\012b (deleted)
7f0000004000-7f0000005000 rwxp 00000000 00:00 0                          [anon:v8]
7ffd4b5e1000-7ffd4b5e3000 r-xp 00000000 00:00 0                          [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
"""


def test_lines_of_all_sorts():
    by_start = {mapping.start: mapping for mapping in Snapshot.of(TEXT).mappings}
    assert len(by_start) == 9
    # The kernel ends the lines of anonymous memory with a space.
    assert Snapshot.of(b"1000-2000 rwxp 00000000 00:00 0 \n").mappings[0].path == ""
    code = by_start[0x55D0C0001000]
    assert (code.path, code.offset, code.device, code.inode) == (
        *("/usr/bin/with space", 0x1000, (0xFE, 0), 26723),
    )
    assert code.executable
    assert code.is_file
    assert not by_start[0x55D0C0000000].executable
    heap, anonymous = by_start[0x55D0C1000000], by_start[0x7F0000000000]
    assert (heap.path, heap.special, heap.is_file) == ("[heap]", True, False)
    assert (anonymous.path, anonymous.is_file, anonymous.special) == ("", False, False)
    memfd, gone = by_start[0x7F0000002000], by_start[0x7F0000003000]
    assert (memfd.path, memfd.deleted, memfd.is_file) == ("/memfd:code", True, True)
    assert (gone.path, gone.deleted, gone.device) == ("/tmp/a\nb", True, (0xFE, 0x10))
    assert not by_start[0x7F0000004000].special
    assert by_start[0x7FFD4B5E1000].special


def test_lookup():
    snapshot = Snapshot.of(TEXT)
    addresses = [0, 0x55D0C0001FFF, 0x55D0C0002000, 0x7FFD4B5E1000, 0xFFFFFFFFFF600FFF, 2**64 - 1]
    index = snapshot.lookup(np.array(addresses, np.uint64)).tolist()
    assert [snapshot.mappings[each].path if each >= 0 else None for each in index] == [
        *(None, "/usr/bin/with space", None, "[vdso]", "[vsyscall]", None)
    ]
    assert Snapshot.of(b"").lookup(np.array(addresses, np.uint64)).tolist() == [-1] * 6


def test_only_executable_ones():
    snapshot = Snapshot.of(TEXT, executable_only=True)
    assert len(snapshot.mappings) == 7
    assert all(mapping.executable for mapping in snapshot.mappings)


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"2000-1000 r-xp 00000000 fe:00 1 /x",
        b"fffffffffffffffff-fffffffffffffffff0 r-xp 00000000 fe:00 1 /x",
        b"1000-2000 r-xp fffffffffffffffff fe:00 1 /x",
        b"1000-2000 r-xp 00000000 fe:00 99999999999999999999999 /x",
        b"1000-",
        b"",
    ],
)
def test_lines_without_sense_are_left_out(line):
    snapshot = Snapshot.of(line + b"\n" + TEXT)
    assert len(snapshot.mappings) == 9


def test_a_real_process(tmp_path):
    source = '#include <stdio.h>\nint main() { puts("ready"); fflush(stdout); getchar(); }'
    path = compiled(tmp_path, "with space\nand line", source, "gcc")
    with running(path) as process:
        path.unlink()
        snapshot = Snapshot.of(read_maps(process.pid))
        own = [mapping for mapping in snapshot.mappings if mapping.path == str(path)]
        assert {mapping.deleted for mapping in own} == {True}
        assert sum(mapping.executable for mapping in own) == 1
        text = subprocess.run(["pmap", "-x", str(process.pid)], capture_output=True, check=False)
        if text.returncode == 0:
            theirs = [int(line.split()[0], 16) for line in text.stdout.splitlines()[2:-2]]
            assert [mapping.start for mapping in snapshot.mappings] == theirs


def test_history_of_a_process_that_maps_more():
    history = MappingHistory(lambda: read_maps(os.getpid()))
    assert history.refresh()
    first = history.at()
    area = mmap.mmap(-1, 1 << 20, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    handle = ctypes.c_char.from_buffer(area)
    address = np.array([ctypes.addressof(handle)], np.uint64)
    assert history.refresh()
    assert history.at(first.time_ns) is first
    before = first.lookup(address)[0]
    assert before == -1 or not first.mappings[before].executable
    assert history.at().lookup(address)[0] >= 0
    assert history.at(boottime()).lookup(address)[0] >= 0
    del handle
    area.close()


def scripted(*contents):
    """Return a history that reads these contents one after the other, at 10, 20, 30, ..."""
    todo = list(contents)
    now = iter(range(10, 10_000, 10))

    def read():
        content = todo.pop(0)
        if content is None:
            raise ProcessLookupError
        return content

    return MappingHistory(read, lambda: next(now))


def line(start):
    return b"%x-%x r-xp 00000000 fe:00 1 /x\n" % (start, start + 1)


def test_snapshots_hold_from_their_time_on():
    history = scripted(line(1), line(2), line(2), b"", None, line(3))
    assert history.at() is None
    assert [history.refresh() for _ in range(6)] == [True, True, False, False, False, True]
    assert [snapshot.time_ns for snapshot in history.snapshots] == [10, 20, 60]
    assert history.at(5).time_ns == 10
    assert history.at(10).time_ns == 10
    assert history.at(59).time_ns == 20
    assert history.at(1000).time_ns == history.at().time_ns == 60
    assert [each.time_ns for each in history.after(history.at(10))] == [20, 60]


def test_old_snapshots_are_dropped_but_for_the_first():
    history = scripted(*(line(start) for start in range(1, 40)))
    for _ in range(39):
        history.refresh()
    assert len(history.snapshots) == MAX_SNAPSHOTS
    assert history.snapshots[0].time_ns == 10
    assert history.snapshots[-1].time_ns == 390


def test_processes_that_are_not_there():
    with pytest.raises(OSError, match="No such file"):
        read_maps(2**22 + 1)
