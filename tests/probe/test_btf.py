"""BTF: what clang wrote is read as bpftool reads it; damage is a clear error."""

import json
import struct
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.elf import Elf
from workbench.errors import ObjectFormatError
from workbench.kinds import OBJECTS
from workbench.probe import btf as b
from workbench.probe.btf import Btf

PATHS = sorted(OBJECTS.glob("*.bpf.o"))
DATA = {path.name: Elf.open(path).section_bytes(".BTF") for path in PATHS}


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.name)
def test_equals_bpftool(path):
    dump = ["bpftool", "btf", "dump", "-j", "file", str(path)]
    theirs = json.loads(subprocess.run(dump, check=True, capture_output=True).stdout)["types"]
    ours = Btf.parse(DATA[path.name])
    assert len(ours.types) == len(theirs) + 1
    for their in theirs:
        our = ours.types[their["id"]]
        name = their["name"] if their["name"] != "(anon)" else ""
        assert (our.name, our.size or 0) == (name, their.get("size", our.size))
        if their["kind"] in ("STRUCT", "UNION"):
            got = [(m.name or "(anon)", m.type_id, m.bit_offset) for m in our.members]
            assert got == [(m["name"], m["type_id"], m["bits_offset"]) for m in their["members"]]
        if their["kind"] == "ENUM":
            assert [v for _, v in our.values] == [v["val"] for v in their["values"]]
        if their["kind"] == "ARRAY":
            assert (our.type_id, our.count) == (their["type_id"], their["nr_elems"])
        if their["kind"] == "DECL_TAG":
            assert (our.type_id, our.component) == (their["type_id"], their["component_idx"])


def test_reads_what_is_asked_for():
    btf = Btf.parse(DATA["syscalls.bpf.o"])
    assert btf.enum("wb_drop")["WB_DROP_RING_FULL"] == 0
    assert btf.docs[btf.by_name[b.STRUCT, "syscalls_event"], 0].startswith("entry")
    assert btf.datasec(".nothing") == {}
    with pytest.raises(KeyError):
        btf.enum("nothing")


@settings(max_examples=500)
@given(st.data())
def test_damage_never_does_more_than_fail(draw):
    data = bytearray(draw.draw(st.sampled_from(sorted(DATA.values()))))
    for _ in range(draw.draw(st.integers(1, 8))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    data = data[: draw.draw(st.sampled_from([len(data), len(data) // 2, 30]))]
    try:
        btf = Btf.parse(bytes(data))
        for i in range(len(btf.types)):
            btf.resolve(i)
            btf.size(i)
    except ObjectFormatError:
        pass


def test_big_endian_is_named():
    with pytest.raises(ObjectFormatError, match="BTF") as caught:
        Btf.parse(struct.pack(">HBBIIIII", b.MAGIC, 1, 0, 24, 0, 0, 0, 0))
    assert "big-endian" in caught.value.why


def test_types_that_go_round_end():
    types = (b.Type(0, "void"), b.Type(b.TYPEDEF, "a", type_id=2), b.Type(b.CONST, "", type_id=1))
    with pytest.raises(ObjectFormatError, match="without an end"):
        Btf(types, {}).resolve(1)
