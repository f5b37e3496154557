"""Tables in the maps of the kernel side, and what the two sides have to agree on."""

import struct
import time

import numpy as np
import pytest
from compile_bpf import bpf_descriptors

from workbench.elf import Elf
from workbench.errors import MapError
from workbench.kinds import OBJECTS
from workbench.probe.btf import Btf
from workbench.probe.layout import event_layout
from workbench.probe.objects import Object
from workbench.unwind import loader as module
from workbench.unwind.images import ImageKey
from workbench.unwind.loader import BLOCK_ROWS, IMAGE, Table, TableMaps, blocks

PADDING = 0xFFFFFFFFFFFFFFFF


@pytest.mark.parametrize("count", [0, 1, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 1, 1000])
def test_blocks(count):
    rows = np.arange(count, dtype=np.uint64)
    made = blocks(rows)
    assert made.shape == (-(-count // BLOCK_ROWS), BLOCK_ROWS)
    assert made.reshape(-1)[:count].tolist() == rows.tolist()
    assert (made.reshape(-1)[count:] == PADDING).all()


def test_a_table_that_is_too_long_is_cut(monkeypatch):
    monkeypatch.setattr(module, "MAX_BLOCKS", 2)
    assert blocks(np.arange(1000, dtype=np.uint64)).size == 2 * BLOCK_ROWS


def test_structs_are_those_of_the_program():
    with Elf.open(OBJECTS / "cpu.bpf.o") as elf:
        btf = Btf.parse(elf.section_bytes(".BTF"))
    assert event_layout(btf, "wb_image").dtype == IMAGE
    key = event_layout(btf, "wb_image_key").dtype
    packed = np.frombuffer(ImageKey(1 << 40, 1 << 33, 7).packed(), key)[0]
    assert (packed["inode"], packed["size"], packed["device"]) == (1 << 40, 1 << 33, 7)


@pytest.fixture
def maps():
    with Object(OBJECTS / "cpu.bpf.o") as obj:
        obj.set("wb_tables", 1)
        obj.maps["wb_perf"].leave_out()
        obj.load()
        yield obj.maps
    assert bpf_descriptors() == []


def images(maps):
    """Number and blocks by key."""
    keys, values = maps["wb_images"].items()
    found = zip(keys, values, strict=True)
    return {k.tobytes(): struct.unpack("<IIII", v.tobytes())[:2] for k, v in found}


@pytest.mark.kernel
def test_tables_come_and_go(maps):
    tables = TableMaps(maps["wb_rows"], maps["wb_images"])
    keys = [ImageKey(n, 10, 1) for n in range(3)]
    rows = [np.arange(n, dtype=np.uint64) for n in (100, 0, 5)]
    tables.put([Table(n + 1, keys[n], rows[n]) for n in range(3)])
    assert images(maps) == dict(zip([k.packed() for k in keys], [(1, 4), (2, 0), (3, 1)]))  # noqa: B905
    tables.finish()
    assert not tables.busy
    present = [maps["wb_rows"].lookup(struct.pack("<I", n)) is not None for n in range(1, 5)]
    assert present == [True, False, True, False]
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME) >> 20
    assert tables.used().keys() == {1, 2, 3}
    assert all(now - 60_000 < when <= now for when in tables.used().values())
    maps["wb_images"].update(keys[0].packed(), struct.pack("<IIII", 1, 4, 77, 0))
    assert tables.used()[1] == 77
    tables.remove([(1, keys[0]), (2, keys[1]), (9, ImageKey(9, 9, 9))])
    assert list(images(maps)) == [keys[2].packed()]
    assert maps["wb_rows"].lookup(struct.pack("<I", 1)) is None
    tables.put([])
    tables.close()


@pytest.mark.kernel
def test_an_image_has_its_number_before_its_table(maps):
    tables, key = TableMaps(maps["wb_rows"], maps["wb_images"]), ImageKey(1, 10, 1)
    tables.name(7, key)
    assert images(maps) == {key.packed(): (7, module.PENDING)}
    tables.put([Table(7, key, np.arange(3, dtype=np.uint64))])
    assert images(maps) == {key.packed(): (7, 1)}
    tables.close()


@pytest.mark.kernel
def test_a_table_that_finds_no_place_is_told(maps):
    tables, rows = TableMaps(maps["wb_rows"], maps["wb_images"]), np.arange(3, dtype=np.uint64)
    tables.put([Table(module.MAX_NUMBER + 1, ImageKey(1, 10, 1), rows)])
    with pytest.raises(MapError, match="cannot be put"):
        tables.finish()
    tables.finish()  # once
    tables.put([Table(1, ImageKey(2, 10, 1), rows)])
    tables.close()  # waits
    assert maps["wb_rows"].lookup(struct.pack("<I", 1)) is not None


@pytest.mark.kernel
def test_no_table_is_half_loaded(maps, monkeypatch):
    def fail(_data):
        raise MemoryError

    monkeypatch.setattr(module, "create_array", fail)
    tables = TableMaps(maps["wb_rows"], maps["wb_images"])
    with pytest.raises(MemoryError):
        tables.put([Table(1, ImageKey(1, 1, 1), np.arange(3, dtype=np.uint64))])
    assert images(maps) == {}
