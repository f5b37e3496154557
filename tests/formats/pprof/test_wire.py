"""What is encoded is what the protobuf library encodes."""

from __future__ import annotations

import itertools

import numpy as np
import profile_pb
from hypothesis import given
from hypothesis import strategies as st

from workbench.formats.pprof import wire

INTS = st.integers(-(1 << 63), (1 << 63) - 1) | st.sampled_from(
    [0, 1, 127, 128, 16383, 16384, (1 << 63) - 1, -1, -(1 << 63)]
)


def slow(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


@given(st.lists(INTS), st.none() | st.integers(0, 255))
def test_varints(values, key):
    data, offsets = wire.varints(np.array(values, np.int64), key)
    parts = [data[a:b].tobytes() for a, b in itertools.pairwise(offsets)]
    ahead = b"" if key is None else bytes([key])
    assert parts == [ahead + slow(value) for value in values]


@given(st.lists(st.tuples(st.lists(INTS), INTS, st.text())))
def test_messages(rows):
    lists = np.array([x for row in rows for x in row[0]], np.int64)
    ends = np.concatenate([[0], np.cumsum([len(row[0]) for row in rows])]).astype(np.int64)
    numbers = np.array([row[1] for row in rows], np.int64)
    each = wire.joined(
        wire.message(6, wire.binaries([row[2] for row in rows])),
        wire.numbers(9, numbers),
        wire.packed(13, lists, ends),
    )
    made = [profile_pb.Profile.FromString(one) for one in each.to_pylist()]
    assert [(list(p.comment), p.time_nanos, p.string_table[0]) for p in made] == rows
    sizes = [
        profile_pb.Profile(comment=c, time_nanos=n, string_table=[t]).ByteSize() for c, n, t in rows
    ]
    assert [len(one) for one in each.to_pylist()] == sizes
    whole = wire.concatenated(each)
    assert len(whole) == sum(sizes)
    assert wire.concatenated(wire.grouped(each, np.array([0, len(rows)]))) == whole


def test_slices_are_taken_as_they_are():
    pieces = wire.binaries(["a", "bc", "", "d"])[1:]
    assert wire.concatenated(pieces) == b"bcd"
    assert wire.grouped(pieces, np.array([0, 2, 3])).to_pylist() == [b"bc", b"d"]
    assert wire.message(2, pieces, empty=False).to_pylist() == [b"\x12\x02bc", b"", b"\x12\x01d"]
