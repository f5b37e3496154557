from __future__ import annotations

import itertools

import pyarrow as pa
import pytest

from workbench.store.ipc import BATCH, DICTIONARY, SCHEMA, at_end, messages


def stream(batches, **options):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema, **options) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


NUMBERS = [pa.record_batch({"a": pa.array(range(n), pa.int64())}) for n in (3, 0, 5)]


def test_finds_every_message():
    data = stream(NUMBERS)
    found = list(messages(data, 0))
    assert [(m.kind, m.rows) for m in found] == [(SCHEMA, 0), (BATCH, 3), (BATCH, 0), (BATCH, 5)]
    assert all(a.end == b.start for a, b in itertools.pairwise(found))
    assert at_end(data, found[-1].end)
    assert not at_end(data, found[1].end)


def test_dictionaries_are_messages():
    column = pa.array(["x", "y"]).dictionary_encode()
    kinds = [m.kind for m in messages(stream([pa.record_batch({"a": column})]), 0)]
    assert kinds == [SCHEMA, DICTIONARY, BATCH]


def test_every_truncation_gives_a_prefix():
    data = stream(NUMBERS)
    whole = list(messages(data, 0))
    for length in range(len(data)):
        found = list(messages(data[:length], 0))
        assert found == [m for m in whole if m.end <= length]


def test_every_changed_byte_is_survived():
    data = stream(NUMBERS)
    for at in range(len(data)):
        for value in (0, 1, 0x7F, 0x80, 0xFF):
            changed = bytearray(data)
            changed[at] = value
            for message in messages(changed, 0):
                assert 0 <= message.start < message.end <= len(data)
                assert message.rows >= 0


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_compressed_bodies_are_refused(codec):
    data = stream(NUMBERS, options=pa.ipc.IpcWriteOptions(compression=codec))
    assert [m.kind for m in messages(data, 0)] == [SCHEMA]
