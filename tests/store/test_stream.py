from __future__ import annotations

import pyarrow as pa
import pytest
import synthetic

from workbench.errors import SessionCorruptError, SessionNotFoundError
from workbench.store.stream import Stream

DATA = synthetic.truth(("cpu",), 100, 1).columns["cpu"]
BATCHES = [synthetic.batch_of("cpu", DATA).slice(at, 30) for at in range(0, 100, 30)]


def write(path, batches, close=True):
    sink = pa.OSFile(str(path), "wb")
    writer = pa.ipc.new_stream(sink, batches[0].schema)
    for batch in batches:
        writer.write_batch(batch)
    if close:
        writer.close()
    sink.close()
    return path


def test_reads_all_batches(tmp_path):
    stream = Stream(write(tmp_path / "cpu.arrows", BATCHES), "cpu")
    assert stream.num_rows == 100
    assert not stream.truncated
    assert list(stream.batches()) == BATCHES
    assert list(stream.batches(2)) == BATCHES[2:]


def test_every_truncation_gives_whole_batches(tmp_path):
    path = write(tmp_path / "cpu.arrows", BATCHES)
    data = path.read_bytes()
    seen = set()
    for length in [*range(0, len(data), 13), len(data)]:
        path.write_bytes(data[:length])
        stream = Stream(path, "cpu")
        if stream.schema is None:
            continue
        found = list(stream.batches())
        assert found == BATCHES[: len(found)]
        assert stream.truncated == (length < len(data) and not at_boundary(stream, length))
        seen.add(len(found))
    assert seen == {0, 1, 2, 3, 4}


def at_boundary(stream, length):
    return stream._end == length


def test_growing_file(tmp_path):
    path = tmp_path / "cpu.arrows"
    sink = pa.OSFile(str(path), "wb")
    writer = pa.ipc.new_stream(sink, BATCHES[0].schema)
    stream = Stream(path, "cpu")
    assert stream.num_rows == 0
    for number, batch in enumerate(BATCHES, 1):
        writer.write_batch(batch)
        assert stream.refresh() == batch.num_rows
        assert list(stream.batches()) == BATCHES[:number]
    assert stream.refresh() == 0


def test_replaced_dictionaries(tmp_path):
    batches = synthetic.side_batches()["processes"]
    stream = Stream(write(tmp_path / "processes.arrows", batches), "processes")
    assert [b.to_pylist() for b in stream.batches()] == [b.to_pylist() for b in batches]
    assert [b.to_pylist() for b in stream.batches(1)] == [batches[1].to_pylist()]


def test_empty_file_has_no_schema_yet(tmp_path):
    path = tmp_path / "cpu.arrows"
    path.touch()
    stream = Stream(path, "cpu")
    assert stream.schema is None
    write(path, BATCHES)
    assert stream.refresh() == 100
    stream.release()
    assert list(stream.batches()) == BATCHES


def test_what_is_no_stream(tmp_path):
    path = tmp_path / "cpu.arrows"
    path.write_bytes(b"x" * 70_000)
    with pytest.raises(SessionCorruptError):
        Stream(path, "cpu")
    with pytest.raises(SessionNotFoundError):
        Stream(tmp_path / "none", "cpu")


@pytest.mark.parametrize(
    "schema",
    [
        pa.schema({"a": pa.int64()}),
        pa.schema({"ts": pa.int64()}),
        pa.schema({"ts": pa.timestamp("ns", "UTC"), "tid": pa.string()}),
        pa.schema({"ts": pa.timestamp("ns", "UTC"), "x": pa.struct({"y": pa.int8()})}),
        pa.schema([("ts", pa.timestamp("ns", "UTC")), ("ts", pa.timestamp("ns", "UTC"))]),
        pa.schema([pa.field("ts", pa.timestamp("ns", "UTC"), metadata={b"unit": b"\xff"})]),
    ],
    ids=str,
)
def test_schemas_that_are_none_of_ours(tmp_path, schema):
    path = tmp_path / "cpu.arrows"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema):
        pass
    with pytest.raises(SessionCorruptError):
        Stream(path, "cpu")


def test_lying_offsets_are_an_error_not_a_crash(tmp_path):
    schema = pa.schema({"ts": pa.timestamp("ns", "UTC"), "x": pa.string()})
    good = pa.record_batch([pa.array([1], pa.timestamp("ns", "UTC")), ["abc"]], schema=schema)
    path = write(tmp_path / "cpu.arrows", [good])
    data = bytearray(path.read_bytes())
    at = data.rindex((3).to_bytes(4, "little"))
    assert list(Stream(path, "cpu").batches()) == [good]
    data[at : at + 4] = (1 << 30).to_bytes(4, "little")
    path.write_bytes(data)
    stream = Stream(path, "cpu")
    with pytest.raises(SessionCorruptError):
        list(stream.batches())
