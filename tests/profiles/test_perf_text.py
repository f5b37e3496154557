from __future__ import annotations

import polars as pl
import pytest

from workbench.profiles.perf_text import classified, entries, lost, parts

FIELDS = ("comm", "pid", "tid", "cpu", "time", "period", "event")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bash  3712 24478.556987:    2004008 cpu-clock:ppp: ",
         ("bash", None, "3712", None, "24478.556987", "2004008", "cpu-clock:ppp")),
        ("my 42 app  7/8 [001] 1.500000000: sched:sched_switch: prev_comm=x",
         ("my 42 app", "7", "8", "001", "1.500000000", None, "sched:sched_switch")),
        ("   swapper     0 [000] d..3.  1.000000:  1 cycles:  ffffffff81000000 idle ([kernel])",
         ("swapper", None, "0", "000", "1.000000", "1", "cycles")),
        (":-1 -1/-1 [002] 2.000000: 5 cpu_core/cycles/u: ",
         (":-1", "-1", "-1", "002", "2.000000", "5", "cpu_core/cycles/u")),
        ("22629 34893.373030:    2004008 cpu-clock: ",  # -F -comm
         (None, None, "22629", None, "34893.373030", "2004008", "cpu-clock")),
        ("the;child 34893.373030: ",  # -F comm,time
         ("the;child", None, None, None, "34893.373030", None, None)),
        ("34893.373030: ", (None, None, None, None, "34893.373030", None, None)),  # -F time
        ("zero: (k) 7 22631 U     34893.390000:    2004008 cpu-clock: ",  # -F +misc
         ("zero: (k) 7", None, "22631", None, "34893.390000", "2004008", "cpu-clock")),
    ],
)  # fmt: skip
def test_heads(line, expected):
    (row,) = parts(classified(pl.Series([line]))).rows(named=True)
    assert row["role"] == "head"
    assert tuple(row[name] for name in FIELDS) == expected


def test_roles():
    lines = ["# x", "a 1 1.000000: e: ", "\t7f00 f+0x1 (/a)", "  f.c:3", "\t7f01 g (/a)", "", "?"]
    assert classified(pl.Series(lines))["role"].to_list() == [
        "head", "frame", "source", "frame", "blank", "other",
    ]  # fmt: skip


def test_losses():
    lines = [
        "a 1 1.000000: PERF_RECORD_LOST lost 5",
        "a 1 1.000000: PERF_RECORD_LOST_SAMPLES lost 7",
        "a 1 1.000000: PERF_RECORD_MMAP lost 9",
    ]
    assert lost(classified(pl.Series(lines))) == 12


def test_inlined_functions_are_where_the_next_one_is():
    text = "\t7f00 i (inlined)\n\t7f00 j (inlined)\n\t7f00 f+0x1 (/a)\n\x01f.c:3 (discriminator 2)"
    names, frames = entries(pl.Series([text, "\t7f00 i (inlined)"]))
    found = frames.join(names.with_row_index("name"), on="name", maintain_order="left")
    assert found.select("stack", "function", "module", "kind", "file", "line").rows() == [
        (0, "i", "/a", "inlined", None, None),
        (0, "j", "/a", "inlined", None, None),
        (0, "f", "/a", "native", "f.c", 3),
        (1, "i", "", "inlined", None, None),
    ]


def test_addresses_that_are_too_long_are_none():
    names, _ = entries(pl.Series(["\tffffffffffffffffff x (/a)"]))
    assert names["offset"].to_list() == [0]


def test_inlined_functions_of_several_stacks():
    one = "\t7f00 i (inlined)\n\t7f00 f (/a)"
    two = "\t7f00 i (inlined)\n\t7f00 g (/b)\n\t7f00 f (/a)"
    names, frames = entries(pl.Series([one, two, one]))
    found = frames.join(names.with_row_index("name"), on="name", maintain_order="left")
    assert found.select("stack", "function", "module").rows() == [
        (0, "i", "/a"), (0, "f", "/a"), (1, "i", "/b"), (1, "g", "/b"), (1, "f", "/a"),
        (2, "i", "/a"), (2, "f", "/a"),
    ]  # fmt: skip
