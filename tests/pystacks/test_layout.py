"""Layouts: the tables, and what _Py_DebugOffsets may hold."""

import random
import struct
from dataclasses import fields, replace

import numpy as np
import pytest

from workbench.pystacks.layout import (
    COOKIE,
    OFFSETS_BYTES,
    SUPPORTED,
    TABLE,
    debug_offsets,
    layout_of,
    record,
)

OFFSETS_VERSIONS = tuple(version for version in SUPPORTED if version not in TABLE)


def head(version, *words):
    names = debug_offsets(COOKIE + bytes(OFFSETS_BYTES), version)
    values = [*words, *[0] * (len(names) - len(words))]
    return COOKIE + struct.pack(f"<{len(values)}Q", *values)


def test_every_version_has_a_layout():
    assert {*TABLE, *OFFSETS_VERSIONS} == set(SUPPORTED)
    assert all(layout.is_sound() for layout in TABLE.values())
    assert TABLE[3, 11].thread_bytes == 168
    assert TABLE[3, 12].frame_bytes == 72


@pytest.mark.parametrize("version", OFFSETS_VERSIONS)
def test_names_follow_the_structure(version):
    count = len(debug_offsets(COOKIE + bytes(OFFSETS_BYTES), version))
    found = debug_offsets(head(version, *range(count)), version)
    assert list(found.values()) == list(range(count))
    assert [*found][:2] == ["version", "free_threaded"]
    # Positions of members, counted in the headers of 3.13.0 and 3.14.10.
    places = {
        (3, 13): {"thread.current_frame": 22, "code.filename": 34, "unicode_object.length": 68},
        (3, 14): {"thread.current_frame": 25, "code.filename": 39, "unicode_object.length": 78},
    }[version]
    assert {name: found[name] for name in places} == places


@pytest.mark.parametrize("version", OFFSETS_VERSIONS)
def test_what_is_no_such_structure(version):
    whole = head(version)
    assert debug_offsets(whole, version)
    assert debug_offsets(whole[:-1], version) == {}
    assert debug_offsets(b"y" + whole[1:], version) == {}
    assert debug_offsets(b"", version) == {}


@pytest.mark.parametrize("version", OFFSETS_VERSIONS)
def test_hostile_offsets_are_not_sound(version):
    source = random.Random(3)
    count = len(debug_offsets(head(version), version))
    accepted = 0
    for _ in range(3000):
        values = [source.choice((0, 8, 64, 255, 1 << 20, 1 << 63)) for _ in range(count)]
        layout = layout_of(debug_offsets(head(version, *values), version), version)
        if layout.is_sound():
            accepted += 1
            assert max(layout.thread_bytes, layout.frame_bytes, layout.code_bytes) <= 256
    assert accepted < 100


@pytest.mark.parametrize(
    "change",
    [
        {"thread_next": 12},
        {"frame_code": 4},
        {"code_bytes": 264},
        {"thread_id": 256},
        {"frame_owner": 300},
        {"text_ascii": 32},
        {"code_name": 184},
        {"interpreter_thread": 1 << 30},
    ],
)
def test_unsound_layouts(change):
    assert not replace(TABLE[3, 11], **change).is_sound()


def test_stack_references_are_tagged_from_3_14_on():
    for free in (0, 1):
        offsets = debug_offsets(head((3, 14), 0, free), (3, 14))
        assert layout_of(offsets, (3, 14)).tag == 7
        assert layout_of(offsets, (3, 14)).text_kind == (8 if free else 2)
    assert layout_of(debug_offsets(head((3, 13)), (3, 13)), (3, 13)).tag == 0


def test_values_of_the_map():
    names = [field.name for field in fields(TABLE[3, 11])]
    dtype = np.dtype([("runtime", "u8"), ("frame_bytes", "u4"), ("code_file", "u4")])
    assert "code_file" in names
    value = record(TABLE[3, 11], dtype, runtime=5)
    assert value.tolist() == [(5, 72, 112)]
