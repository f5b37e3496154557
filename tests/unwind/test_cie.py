"""CIEs in all their forms."""

import struct

import pytest
import unwind_frames as f

from workbench.unwind.cfi import RSP, Factors, State
from workbench.unwind.cie import Cie, read_cie

START = State(RSP, 8, None, -8)
FACTORS = Factors(1, -8, START)


def read(*arguments, **named):
    return read_cie(f.cie(*arguments, **named)[8:], 0x1008)


@pytest.mark.parametrize(
    ("augmentation", "data", "pointers"),
    [
        (b"zR", b"\x1b", 0x1B),
        (b"z", b"", 0),
        (b"zRS", b"\x1b", 0x1B),
        (b"zPLR", b"\x9b\0\0\0\0\x1b\x1b", 0x1B),
        (b"zPLR", b"\x03\0\0\0\0\x03\x03", 0x03),
        (b"zPR", b"\x01\x80\x01\x0b", 0x0B),  # a personality as LEB128
        (b"zPR", b"\xff\x1c", 0x1C),  # none
        (b"zRL", b"\x00\x1b\xcc\xcc", 0),  # more data than letters
    ],
)
def test_augmentations(augmentation, data, pointers):
    assert read(f.DEFAULT, augmentation, data) == Cie(FACTORS, pointers, augmented=True)


def test_an_aligned_personality():
    """The pointer is aligned by its address: 8 + text, factors, register, size, encoding."""
    data = b"\x50" + bytes(-(0x1008 + 10) % 8) + struct.pack("<Q", 5) + b"\x1b"
    found = read(f.DEFAULT, b"zPR", data)
    assert found is not None
    assert found.pointers == 0x1B


@pytest.mark.parametrize("version", [1, 3, 4])
def test_versions_of_debug_frame(version):
    found = read(f.DEFAULT, b"", eh=False, version=version)
    assert found == Cie(FACTORS, 0, augmented=False)


@pytest.mark.parametrize(
    "named",
    [
        {"version": 2},
        {"version": 5},
        {"augmentation": b"eh"},
        {"augmentation": b"zQR"},
        {"augmentation": b"zR", "data": b""},
        {"augmentation": b"zR", "data": b"\x3b"},  # relative to data: of what?
        {"augmentation": b"zR", "data": b"\x9b"},  # indirect
        {"augmentation": b"zR", "data": b"\xff"},
        {"augmentation": b"zPR", "data": b"\x9b\0"},  # cut off
    ],
)
def test_forms_that_are_not_known(named):
    assert read(**named) is None


def test_other_machines_and_addresses():
    good = f.cie()[8:]
    assert read_cie(good.replace(b"\x01\x78\x10", b"\x01\x78\x1e", 1), 0) is None  # of aarch64
    small = f.cie(version=4, eh=False, augmentation=b"")[8:].replace(b"\x08\0", b"\x04\0", 1)
    assert read_cie(small, 0) is None


@pytest.mark.parametrize("size", range(12))
def test_cut_off(size):
    assert read_cie(f.cie()[8:][:size], 0) is None or size >= 9
