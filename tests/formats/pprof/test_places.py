"""Frames and stacks become mappings, functions and locations."""

from __future__ import annotations

import numpy as np
import polars as pl

from workbench.formats.pprof.places import PYTHON, Mapping, places

FRAMES = pl.DataFrame(
    [
        # function, file, line, module, build_id, offset, kind
        ("inner", "a.h", 3, "/lib/libc.so.6", "cc", 0x1234, "inlined"),
        ("outer", "a.c", 9, "/lib/libc.so.6", "cc", 0x1234, "native"),
        ("main", None, None, "/bin/app", "aa", 0x5010, "native"),
        ("std::f<int>(x)", "f.cc", 1, "/bin/app", "aa", 0x20, "native"),
        ("sys_read", None, None, "[kernel]", "", 0xFFFFFFFF81234560, "kernel"),
        ("handle", "job.py", 20, "job.py", "", 0, "python"),
        ("compiled", None, None, "[anon]", "", 0x7F0000001000, "jit"),
        ("nowhere", None, None, "", "", 0, "unknown"),
        ("never used", None, None, "/bin/other", "", 5, "native"),
    ],
    schema=["function", "file", "line", "module", "build_id", "offset", "kind"],
    orient="row",
    infer_schema_length=None,
    schema_overrides={"offset": pl.UInt64, "line": pl.UInt32},
)


def of(*stacks, frames=FRAMES, mappings=None):
    flat = np.array([x for stack in stacks for x in stack], np.int64)
    offsets = np.concatenate([[0], np.cumsum([len(s) for s in stacks])]).astype(np.int64)
    return places(frames, flat, offsets, mappings)


def stack(found, number):
    """Return the functions of a stack's locations, leaf first."""
    names = found.functions["name"].to_list()
    ids = found.flat[found.offsets[number] : found.offsets[number + 1]]
    functions = found.lines["function"].to_list()
    ends = found.line_offsets
    return [[names[f - 1] for f in functions[ends[i] : ends[i + 1]]] for i in ids.tolist()]


def test_what_is_inlined_shares_a_location():
    found = of([0, 1, 2], [1, 2], [0, 0, 1], [0], [], [0, 1, 2])
    assert stack(found, 0) == [["inner", "outer"], ["main"]]
    assert stack(found, 1) == [["outer"], ["main"]]
    assert stack(found, 2) == [["inner", "inner", "outer"]]
    assert stack(found, 3) == [["inner"]]  # what it was inlined into is missing
    assert stack(found, 4) == []
    assert found.flat[:2].tolist() == found.flat[-2:].tolist()
    assert len(found.address) == 5
    assert len(found.functions) == 3


def test_modules_are_mappings_that_do_not_overlap():
    found = of([1, 2, 3, 4, 5, 6, 7])
    files = [(one.file, one.build_id) for one in found.mappings]
    assert files == [
        ("/bin/app", "aa"), ("/lib/libc.so.6", "cc"),
        ("[kernel]", ""), (PYTHON, ""), ("[anon]", ""),
    ]  # fmt: skip
    for address, mapping in zip(found.address.tolist(), found.mapping.tolist(), strict=True):
        if mapping and found.mappings[mapping - 1].file != PYTHON:
            one = found.mappings[mapping - 1]
            assert one.start <= address < one.limit
    app, libc = found.mappings[:2]
    assert app.start < app.limit < libc.start < libc.limit
    by_name = dict(zip(found.functions["name"], found.address.tolist(), strict=True))
    assert by_name["main"] - app.start + app.offset == 0x5010
    assert by_name["outer"] - libc.start + libc.offset == 0x1234
    assert by_name["sys_read"] == 0xFFFFFFFF81234560
    assert by_name["compiled"] == 0x7F0000001000
    assert found.mapping[-1] == 0


def test_names_that_are_mangled_in_the_file_are_not_made_up():
    names = [
        "main",
        "std::f<int>(x)",
        "<module>",
        "_ZN1aE",
        "f.cold.1",
        "<Vec as X>::f",
        "[libc.so]",
    ]
    found = of(range(7), frames=FRAMES.head(7).with_columns(function=pl.Series(names)))
    told = dict(found.functions.select("name", "system_name").rows())
    plain = ("main", "f.cold.1", "[libc.so]")
    assert told == {name: name if name in plain else "" for name in names}


def test_addresses_that_are_none_in_a_module():
    far = FRAMES.with_columns(offset=pl.lit((1 << 64) - 1, pl.UInt64))
    found = of([2], frames=far)
    assert found.address.tolist() == [(1 << 64) - 1]
    assert found.mappings[0].limit == (1 << 64) - 1


def test_imported_frames_keep_what_the_file_said():
    frames = FRAMES.head(2).with_columns(
        address=pl.Series([7, 7], dtype=pl.UInt64), mapping=pl.Series([2, 2], dtype=pl.UInt32),
        folded=True, named=pl.Series([True, False]), system_name=pl.lit("_Z"), start_line=5,
        column=6,
    )  # fmt: skip
    mappings = [Mapping(0, 1, 2, "a", "b", False), Mapping(3, 4, 5, "c", "d")]
    found = of([0, 1], [1], frames=frames, mappings=mappings)
    assert found.mappings == mappings
    assert found.mapping.tolist() == [2, 2]
    assert found.folded.tolist() == [True, True]
    assert found.functions.rows() == [("inner", "_Z", "a.h", 5)]
    assert found.lines.rows() == [(1, 3, 6)]
    assert found.line_offsets.tolist() == [0, 1, 1]


def test_nothing():
    found = of()
    assert not len(found.flat)
    assert not found.mappings
