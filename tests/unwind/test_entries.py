"""FDEs in all their forms; real files are compared in test_eh_frame."""

import shutil
import struct
from dataclasses import replace

import numpy as np
import pytest
import unwind_frames as f

from workbench.elf import Elf
from workbench.errors import ObjectFormatError
from workbench.unwind import entries as module
from workbench.unwind.eh_frame import eh_frame
from workbench.unwind.entries import FrameSection, read_entries

START = f.BASE + f.CODE


def read(data, **named):
    return read_entries(FrameSection(data, f.BASE + f.FRAMES, **named))


def found(entries):
    codes = (entries.distinct[index][1] for index in entries.programs)
    return list(zip(entries.starts, entries.lengths, codes, strict=True))


@pytest.mark.parametrize(
    ("encoding", "layout", "relative"),
    [(0x1B, "<iI", True), (0x0B, "<iI", False), (0x03, "<II", False), (0x00, "<QQ", False),
     (0x04, "<QQ", False), (0x1C, "<qQ", True), (0x14, "<QQ", True), (0x1A, "<hH", True)],
)  # fmt: skip
def test_encodings_of_addresses(encoding, layout, relative):
    section = f.Section().cie(data=bytes([encoding]))
    if layout == "<QQ" and relative:
        layout = "<qQ"
    section.fde(START, 0x40, b"\x41\x0e\x10", layout, relative=relative)
    assert found(read(section.data)) == [(START, 0x40, b"\x41\x0e\x10")]


def test_programs_are_kept_once():
    section = f.Section().cie()
    for i in range(5):
        section.fde(START + 16 * i, 16, b"\x41\x0e\x10" if i % 2 else b"\x42\x0e\x10")
    section.cie().fde(START + 80, 16, b"\x41\x0e\x10")  # of another CIE
    entries = read(section.data)
    assert list(entries.programs) == [0, 1, 0, 1, 0, 2]
    assert len(entries.distinct) == 3


def test_long_augmentation_data():
    section = f.Section().cie()
    body = struct.pack("<IiI", 0, 0, 16) + f.uleb(200) + bytes(200) + b"\x41\x0e\x10"
    at = len(section.data) + 4
    body = struct.pack("<Ii", at, START - (section.address + at + 4)) + body[8:]
    assert found(read(section.data + f.record(body))) == [(START, 16, b"\x41\x0e\x10")]


@pytest.mark.parametrize("eh", [True, False])
@pytest.mark.parametrize("wide", [True, False])
def test_lengths_of_64_bits(eh, wide):
    section = f.Section(eh=eh)
    if eh:
        section.cie(wide=wide)
        section.fde(START, 32, b"\x41\x0e\x10")
    else:
        section.cie(augmentation=b"", wide=wide)
        section.fde(START, 32, b"\x41\x0e\x10", "<QQ", relative=False, augmented=False)
    assert found(read(section.data, eh=eh)) == [(START, 32, b"\x41\x0e\x10")]


def test_terminators_within_are_passed():
    """Linkers copy them from crtend.o of whatever they link."""
    one, two = f.simple((START, 16, b"")), f.Section(f.BASE + f.FRAMES)
    two.data = one
    two.cie().fde(START + 16, 16)
    assert [start for start, *_ in found(read(two.data + bytes(4)))] == [START, START + 16]
    assert [start for start, *_ in found(read(two.data, limit=9))] == [START]


def test_a_limit_ends_before_what_follows():
    data = f.simple((START, 16, b""), (START + 16, 16, b""))[:-4] + b"\xee" * 99
    assert len(read(data, limit=2).starts) == 2
    with pytest.raises(ObjectFormatError):
        read(data)


@pytest.mark.parametrize(("start", "size"), [(0, 16), (START, 0)])
def test_functions_that_the_linker_has_left_out(start, size):
    section = f.Section().cie(data=b"\x00").fde(start, size, b"", "<QQ", relative=False)
    entries = read(section.data)
    assert (len(entries.starts), entries.left_out) == (0, 0)


@pytest.mark.parametrize("start", [1 << 63, (1 << 64) - 1, 1 << 62])
def test_addresses_that_cannot_be(start):
    section = f.Section().cie(data=b"\x00").fde(start, 16, b"", "<QQ", relative=False)
    entries = read(section.data)
    assert (len(entries.starts), entries.left_out) == (0, 1)


def test_functions_of_an_unknown_cie_are_left_out():
    section = f.Section().cie(augmentation=b"eh").fde(START, 16)
    section.cie().fde(START + 16, 16)
    entries = read(section.data)
    assert (list(entries.starts), entries.left_out) == ([START + 16], 1)


def test_an_fde_may_not_point_into_the_midst_of_a_record():
    """Else each of a million FDEs could make its own CIE of the whole section."""
    inner = f.cie()
    section = f.Section().cie()
    section.last += 20
    section.data = f.record(b"\0" * 4 + b"\x07" + b"\0" * 11 + inner + bytes(8))
    assert read(section.fde(START, 16).data).left_out == 1


@pytest.mark.parametrize(
    "data",
    [b"\x10\0\0\0" + bytes(8), b"\x02\0\0\0\0\0", struct.pack("<IQ", 0xFFFFFFFF, 1 << 63),
     struct.pack("<I", 0xFFFFFFFF) + bytes(4), struct.pack("<I", 0xFFFFFFF0)],
)  # fmt: skip
def test_records_beyond_the_end(data):
    with pytest.raises(ObjectFormatError):
        read(data)


def test_cut_off_anywhere():
    whole = f.simple((START, 16, b"\x41\x0e\x10"), (START + 16, 16, b"\x42"))
    for size in range(len(whole)):
        try:
            assert len(read(whole[:size]).starts) <= 2
        except ObjectFormatError:
            continue


WHOLE = shutil.which("sh")


def both_ways(section, monkeypatch):
    """Read a section; without the short way for usual FDEs, the same must come."""

    def read():
        try:
            return read_entries(section)
        except ObjectFormatError as error:
            return str(error)

    found = read()
    with monkeypatch.context() as patch:
        patch.setattr(module._Reader, "_usual", lambda *_: 0)
        assert read() == found
    return found


def test_the_short_way_leads_to_the_same(monkeypatch):
    with Elf.open(WHOLE) as elf:
        section = eh_frame(elf)
    assert len(both_ways(section, monkeypatch).starts) > 100
    assert len(both_ways(replace(section, limit=7), monkeypatch).starts) <= 7
    data, rng = section.data[:2000], np.random.default_rng(7)
    for _ in range(500):
        hurt = bytearray(data)
        for at in rng.integers(0, len(data), 3):
            hurt[at] = rng.choice([0, 1, 16, 0x80, 0xFF, rng.integers(256)])
        both_ways(replace(section, data=bytes(hurt[: rng.integers(1, 2000)])), monkeypatch)
