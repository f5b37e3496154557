"""Layouts from BTF: equal to the compiler's, described, drift is seen."""

import subprocess

import numpy as np
import pyarrow as pa
import pytest

from workbench import kinds
from workbench.elf import Elf
from workbench.errors import ObjectFormatError
from workbench.kinds import OBJECTS
from workbench.probe.btf import Btf
from workbench.probe.layout import arrow_schema, event_layout

SOURCE = """
typedef unsigned long long wb_time_ns;
enum colour {{ RED, GREEN }};
struct odd_event {{
    wb_time_ns ts __attribute__((btf_decl_tag("when")));
    unsigned char small; short half; {more}
    enum colour colour; void *where; char text[5]; int grid[3]; const int *const p; _Bool flag;
    unsigned long tail[];
}};
struct odd_event *keep;
char LICENSE[] __attribute__((section("license"))) = "GPL";
"""


def build(tmp_path, more=""):
    source, out = tmp_path / "odd.c", tmp_path / "odd.o"
    source.write_text(SOURCE.format(more=more))
    subprocess.run(
        ["clang", "-O2", "-g", "-target", "bpf", "-c", source, "-o", out],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    return Btf.parse(Elf.open(out).section_bytes(".BTF"))


def btf_of(kind):
    return Btf.parse(Elf.open(OBJECTS / f"{kind}.bpf.o").section_bytes(".BTF"))


def test_all_sorts_of_members(tmp_path):
    layout = event_layout(build(tmp_path), "odd_event")
    assert {n: layout.dtype.fields[n][1] for n in layout.dtype.names} == {
        "ts": 0, "small": 8, "half": 10, "colour": 12, "where": 16, "text": 24, "grid": 32,
        "p": 48, "flag": 56,
    }  # fmt: skip
    assert layout.dtype.itemsize == 64
    assert layout.dtype["text"] == np.dtype("S5")
    assert layout.dtype["grid"].shape == (3,)
    assert layout.tail == ("tail", np.dtype("u8"))
    schema = arrow_schema(layout)
    assert schema.field("ts").type == pa.timestamp("ns", "UTC")
    assert schema.field("ts").metadata == {b"unit": b"ns", b"meaning": b"when"}
    assert schema.field("grid").type == pa.list_(pa.int32(), 3)
    assert schema.field("text").type == pa.string()


@pytest.mark.parametrize(
    ("more", "said"), [("int bits : 3;", "bit field"), ("struct { int a; } inner;", "no column")]
)
def test_what_no_column_can_hold(tmp_path, more, said):
    with pytest.raises(ObjectFormatError, match=said):
        event_layout(build(tmp_path, more), "odd_event")


def test_missing_struct_says_how_to_keep_it():
    with pytest.raises(ObjectFormatError, match=r"WB_EVENT\(nothing\)"):
        event_layout(btf_of("cpu"), "nothing")


@pytest.mark.parametrize("kind", kinds.all_kinds())
def test_every_column_of_every_kind_has_a_unit_and_a_meaning(kind):
    layout = event_layout(btf_of(kind), kinds.find(kind).event)
    columns = [f for f in layout.fields if not f.name.endswith("_depth")]
    assert all(f.unit and f.meaning for f in columns)
    # Only plain numbers and texts, such as that of a signal, may do without a typedef.
    assert all(f.typedef.startswith("wb_") or f.unit == "1" for f in columns)
    assert {f.typedef for f in columns} >= {"wb_time_ns", "wb_pid", "wb_tid", "wb_cpu"}
    assert {"ts", "cpu", "pid", "tid"} <= {f.name for f in layout.fields}
