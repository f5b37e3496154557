import os
import random
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.symbols import perfmap
from workbench.symbols.perfmap import PerfMap

ME = (os.getuid(),)


def at(symbols, *addresses):
    index = symbols.table.lookup(np.array(addresses, np.uint64)).tolist()
    return [symbols.table.name(each) if each >= 0 else None for each in index]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "perf-1.map"


def opened(path, owners=ME):
    symbols = PerfMap([str(path)], owners)
    symbols.refresh()
    return symbols


def test_entries(path):
    path.write_text("1000 10 LazyCompile:*f /tmp/a b.js:1\n0x2000 0x20 g\n")
    symbols = opened(path)
    assert symbols.status == "ok"
    assert at(symbols, 0xFFF, 0x1000, 0x100F, 0x1010, 0x201F, 0x2020) == [
        *(None, "LazyCompile:*f /tmp/a b.js:1", "LazyCompile:*f /tmp/a b.js:1", None, "g", None)
    ]
    symbols.close()


def test_growth_and_half_a_line(path):
    path.write_text("1000 10 first\n2000 1")
    symbols = opened(path)
    assert at(symbols, 0x1000, 0x2000) == ["first", None]
    assert not symbols.refresh()
    with path.open("a") as file:
        file.write("0 second\n3000 10 third\n")
    assert symbols.refresh()
    assert at(symbols, 0x1000, 0x200F, 0x3000) == ["first", "second", "third"]
    assert symbols.bad_lines == 0


def test_the_file_comes_late_and_outlives_its_name(path):
    symbols = opened(path)
    assert symbols.status == "missing"
    path.write_text("1000 10 late\n")
    assert symbols.refresh()
    with path.open("a") as file:
        path.unlink()
        file.write("2000 10 after\n")
    assert symbols.refresh()
    assert at(symbols, 0x1000, 0x2000) == ["late", "after"]
    symbols.close()
    assert at(symbols, 0x1000) == ["late"]


def test_later_entries_hold(path):
    path.write_text("1000 100 old\n1040 20 inside\n10f0 20 over the end\n1000 10 again\n")
    symbols = opened(path)
    assert at(symbols, 0x1000, 0x1010, 0x1040, 0x105F, 0x1060, 0x10EF, 0x10F0, 0x110F) == [
        *("again", "old", "inside", "inside", "old", "old", "over the end", "over the end")
    ]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20)), min_size=1, max_size=25))
def test_later_entries_hold_always(spans):
    starts = np.array([start for start, _ in spans], np.int64)
    ends = np.array([start + size for start, size in spans], np.int64)
    parts = perfmap._disjoint(starts, ends)
    assert (parts[1:, 0] >= parts[:-1, 1]).all()
    for address in range(65):
        around = [entry for entry, (low, size) in enumerate(spans) if low <= address < low + size]
        found = parts[(parts[:, 0] <= address) & (address < parts[:, 1]), 2].tolist()
        assert found == around[-1:]


def test_bad_lines_are_counted(path):
    bad = ["", "nonsense", "1000", "1000 10", "zz 10 x", "1000 0 empty", "-1 10 negative"]
    bad += ["f" * 17 + " 10 long", "1000 " + "f" * 17 + " x", "7fffffffffffffff 10 high", "10 10 "]
    path.write_bytes("\n".join(["1000 10 good", *bad, "2000 10 fine", ""]).encode() + b"\xff\xfe\n")
    symbols = opened(path)
    assert at(symbols, 0x1000, 0x2000) == ["good", "fine"]
    assert symbols.bad_lines == len(bad) + 1


def test_files_of_other_users_links_and_pipes_are_ignored(path, tmp_path):
    path.write_text("1000 10 hostile\n")
    foreign = opened(path, owners=(os.getuid() + 1,))
    assert (foreign.status, len(foreign.table)) == ("foreign", 0)
    assert opened(path, owners=()).status == "foreign"
    link = tmp_path / "perf-2.map"
    link.symlink_to(path)
    assert opened(link).status == "missing"
    pipe = tmp_path / "perf-3.map"
    os.mkfifo(pipe)
    started = time.monotonic()
    assert opened(pipe).status == "foreign"
    assert opened(tmp_path).status in ("missing", "foreign")
    assert time.monotonic() - started < 1


def test_the_first_file_that_can_be_trusted_is_read(path, tmp_path):
    path.write_text("1000 10 mine\n")
    symbols = PerfMap([str(tmp_path / "nothing"), str(path)], ME)
    assert symbols.refresh()
    assert at(symbols, 0x1000) == ["mine"]


def test_limits(path, monkeypatch):
    monkeypatch.setattr(perfmap, "MAX_ENTRIES", 100)
    path.write_text("".join(f"{n:x}000 10 f{n}\n" for n in range(1, 300)))
    symbols = opened(path)
    assert symbols.status == "full"
    with path.open("a") as file:
        file.write("1 1 more\n")
    assert not symbols.refresh()


def test_endless_lines_take_no_memory(path):
    path.write_bytes(b"1000 10 " + b"a" * 5_000_000 + b"\n2000 10 next\n")
    symbols = opened(path)
    assert len(symbols._rest) == 0
    assert at(symbols, 0x1000, 0x2000) == ["a" * perfmap.MAX_NAME, "next"]
    path.write_bytes(b"b" * 5_000_000)
    assert len(opened(path)._rest) < 2 * perfmap.MAX_NAME


def test_a_large_map_takes_no_time(path):
    rng = random.Random(1)
    starts = [rng.randrange(1 << 30) for _ in range(50_000)]
    path.write_text("".join(f"{start:x} {rng.randrange(1, 900):x} f\n" for start in starts))
    started = time.monotonic()
    assert len(opened(path).table) > 40_000
    assert time.monotonic() - started < 3


def test_random_bytes(path):
    rng = random.Random(2)
    for _ in range(300):
        lines = [b"%x %x f%d" % (rng.getrandbits(20), rng.getrandbits(8), n) for n in range(20)]
        data = bytearray(b"\n".join(lines))
        for _ in range(10):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data)
        symbols = opened(path)
        at(symbols, *range(0, 1 << 20, 999))
        symbols.close()
