from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import ImportFormatError
from workbench.formats.pprof.legacy import maps
from workbench.formats.pprof.places import Mapping


def plain(start, limit, offset=0, file="", build_id=""):
    return Mapping(start, limit, offset, file, build_id, False, False, False, False)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("00400000-00452000 r-xp 00001000 08:02 173521 /a b (deleted)",
         plain(0x400000, 0x452000, 0x1000, "/a b")),
        ("0x40000-0x80000 /path/to/binary (@FF00) abc123",
         plain(0x40000, 0x80000, 0xFF00, "/path/to/binary", "abc123")),
        ("  00400000-00fcb000: server_main", plain(0x400000, 0xFCB000, 0, "server_main")),
        ("7f0-800 rw-p 00000000 00:00 0 [heap]", None),
        ("words that mean nothing", None),
        ("5-5 r-xp 0 0:0 0 /empty", None),
    ],
)  # fmt: skip
def test_lines(line, expected):
    assert maps.mappings([line]) == ([] if expected is None else [expected])


def test_neighbours_are_one_and_the_program_is_first():
    found = maps.mappings(
        [
            "build = /build",
            "1000-2000 r-xp 00001000 08:02 1 $build/lib.so.6",
            "2000-3000 r-xp 00002000 08:02 1 $build/lib.so.6",
            "3000-4000 r-xp 00005000 08:02 1 $build/lib.so.6",
            "8000-9000 r-xp 00000000 08:02 1 /bin/program",
        ]
    )
    assert found == [
        plain(0x8000, 0x9000, 0, "/bin/program"),
        plain(0x3000, 0x4000, 0x5000, "/build/lib.so.6"),
        plain(0x1000, 0x3000, 0x1000, "/build/lib.so.6"),
    ]


def test_addresses_find_their_mapping():
    known = [plain(0x8000, 0x9000, 0x1000, "a"), plain(0x2000, 0x3000, 0, "b")]
    address = np.array([0x8500, 0x7500, 0x2FFF, 0x3000, 0], np.uint64)
    found, row = maps.assigned(known, address)
    assert row.tolist() == [0, 0, 1, 2, -1]
    assert found[0] == plain(0x7000, 0x9000, 0, "a")  # its first part was missing
    assert found[2] == plain(0, (1 << 64) - 1)
    assert maps.assigned([], address[:0]) == ([], pytest.approx([]))


def test_programs_at_their_own_address():
    found, row = maps.assigned([plain(0x401000, 0x500000, 0x1000, "a")], np.zeros(0, np.uint64))
    assert found == [plain(0x400000, 0x500000, 0, "a")]
    assert not len(row)
    huge = [plain(0x1000, 0x2000, 0, "/anon_hugepage"), plain(0x2000, 0x3000, 0, "a")]
    assert maps.assigned(huge, np.zeros(0, np.uint64))[0] == huge[1:]


def test_too_many(monkeypatch):
    monkeypatch.setattr(maps, "MAX_LINES", 3)
    with pytest.raises(ImportFormatError) as error:
        maps.mappings(["x"] * 4)
    assert "more than 3 lines" in error.value.why
