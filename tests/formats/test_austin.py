from __future__ import annotations

import polars as pl
import pytest
import reading

from workbench.errors import ImportFormatError

# As austin 3.7 writes them.
WALL = b"""\
# austin: 3.7.0
# interval: 5000
# mode: wall

P7879;T0:7879;<frozen importlib._bootstrap>:_find_and_load:1176;/a dir/b.py:<module>:7 14214
P7879;T0:7880;/a dir/b.py:<module>:7;/a dir/b.py:inner.<locals>.<genexpr>:3 5076
P7879;T0:7880;/a dir/b.py:<module>:7;/a dir/b.py:inner.<locals>.<genexpr>:3 1000
P7879;T0:7879;/a dir/b.py:<module>:7;:GC: 10
P7879;T0:7879 11946

# duration: 1682099
"""
FULL = b"""\
# mode: full
P1;T0:2;a.py:f:3;a.py:g:4 500,0,4096
P1;T0:2;a.py:f:3 100,1,-8192
"""
MEMORY = b"# austin: 3.7.0\n# mode: memory\nP1;T0x7f01;a.py:f:3;a.py:g:4 4096\nP1;T0x7f01 -4096\n"


def test_time(tmp_path):
    assert reading.recognised_as(WALL) == "austin"
    made = reading.session(WALL, tmp_path / "a.wb")
    assert made.kinds == ("wall",)
    assert made.flamegraph("wall").tree.unit == "ns"
    assert reading.self_and_total(made, "wall") == {
        "_find_and_load": (0, 14_214_000),
        "<module>": (14_214_000, 20_300_000),
        "inner.<locals>.<genexpr>": (6_076_000, 6_076_000),
        ":GC:": (10_000, 10_000),
    }
    rows = made["wall"].polars()
    assert rows["tid"].to_list() == [7879, 7880, 7880, 7879, 7879]
    assert rows["pid"].unique().to_list() == [7879]
    frame = made["frames"].polars().filter(pl.col("function") == "<module>").row(0, named=True)
    assert (frame["file"], frame["line"], frame["kind"]) == ("/a dir/b.py", 7, "python")
    assert made.duration.total_seconds() == pytest.approx(1.682099)
    assert made.manifest.target["imported"]["austin"]["interval"] == "5000"


def test_all_figures(tmp_path):
    assert reading.recognised_as(FULL) == "austin"
    made = reading.session(FULL, tmp_path / "a.wb")
    columns = {one["type"]: one["column"] for one in made.manifest.kinds["wall"]["values"]}
    rows = made["wall"].polars()
    assert rows[columns["wall"]].to_list() == [500_000, 100_000]
    assert rows[columns["cpu"]].to_list() == [500_000, 0]  # the other one was idle
    assert rows[columns["memory"]].to_list() == [4096, -8192]


def test_memory(tmp_path):
    made = reading.session(MEMORY, tmp_path / "a.wb")
    (kind,) = made.kinds
    assert kind == "memory_samples"
    assert made[kind].polars()["memory"].to_list() == [4096, -4096]
    assert "tid" not in made[kind].schema.names  # an address is no thread id
    assert made.flamegraph(kind).tree.unit == "bytes"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"MOJ\x03\x00", "binary format"),
        (b"# austin: 3.7.0\n", "no sample"),
        (b"# austin: 3.7.0\nP1;T0:2;a.py:f:3\n", "Line 2 is no sample"),
        (b"# austin: 3.7.0\nP1;T0:2 5\nP1;T0:2 5,0,1\n", "three"),
        (b"# austin: 3.7.0\nP1;T0:2 99999999999999999999\n", "cannot be"),
        (b"# austin: 3.7.0\nP99999999999;T0:2 5\n", "no process can have"),
    ],
)
def test_what_is_refused(text, why, tmp_path):
    with pytest.raises(ImportFormatError, match=why):
        reading.session(text, tmp_path / "a.wb", "austin")


@pytest.mark.timeout(reading.PATIENCE_S)
def test_damaged_files():
    cases = reading.mutated([WALL, FULL, MEMORY], reading.CASES, [b"P1;T0:1 5\n", b"# mode: "])
    good, bad = reading.fuzz(reading.reader("austin"), cases)
    assert good
    assert bad
