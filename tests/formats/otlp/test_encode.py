"""A session as requests: lazily, in bounded memory, the same each time."""

import gc
import tracemalloc

import pyarrow as pa
import pytest
from otlp_sessions import CLASSES, count, last_points, messages, spans, synthetic, written
from synthetic import batch_of, final_changes, manifest, side_batches, truth, write_streams

from workbench.errors import ExportError
from workbench.formats.otlp import slices
from workbench.formats.otlp.encode import MAX_BYTES, SIGNALS, requests
from workbench.kinds import all_kinds
from workbench.recording import Recording
from workbench.store.writer import SessionWriter


def test_all_signals(tmp_path):
    rec = synthetic(tmp_path, 500)
    found = list(requests(rec))
    assert [each.signal for each in found] == ["traces", "metrics", "logs", "profiles", "profiles"]
    for each in found:
        assert each.items == count(CLASSES[each.signal].FromString(each.body), each.signal)
        assert len(each.body) <= MAX_BYTES < 4 << 20
    assert list(requests(rec)) == found
    assert {each.signal for each in requests(rec, ("logs", "metrics"))} == {"logs", "metrics"}


def test_everything_names_its_origin(tmp_path):
    rec = synthetic(tmp_path, 500)
    for signal in SIGNALS:
        for message in messages(rec, signal):
            (outer,) = getattr(message, f"resource_{'spans' if signal == 'traces' else signal}")
            (inner,) = getattr(outer, f"scope_{'spans' if signal == 'traces' else signal}")
            assert inner.scope.name == "workbench"
            assert outer.resource.attributes
            assert outer.schema_url == inner.schema_url != ""


def test_there_is_no_such_signal(tmp_path):
    with pytest.raises(ExportError, match="no signal events"):
        next(requests(synthetic(tmp_path, 10), ("events",)))


def test_requests_are_made_as_they_are_taken(tmp_path, monkeypatch):
    rec = synthetic(tmp_path, 5_000)
    taken = []
    original = type(rec["syscalls"]).batches

    def batches(self, columns=None):
        for batch in original(self, columns):
            taken.append(self.name)
            yield batch

    monkeypatch.setattr(type(rec["syscalls"]), "batches", batches)
    stream = requests(rec, ("traces",), max_bytes=20_000)
    next(stream)
    assert "offcpu" not in taken
    assert sum(1 for _ in stream) > 10
    assert "offcpu" in taken


def test_memory_does_not_grow_with_the_session(tmp_path, monkeypatch):
    """What is held at a time is that of slices, not of the session: six times the rows."""
    monkeypatch.setattr(slices.slices, "__kwdefaults__", {"rows": 1000})
    peaks = []
    for number, rows in enumerate((5_000, 30_000)):
        (tmp_path / str(number)).mkdir()
        writer = write_streams(
            tmp_path / str(number) / "s.wb", kinds=("syscalls",), rows=rows, batch_rows=1000
        )
        rec = Recording.open(tmp_path / str(number) / "s.wb")
        held = size = 0
        gc.collect()  # what earlier tests left must not go away meanwhile
        tracemalloc.start()
        before = pa.total_allocated_bytes()
        for request in requests(rec, ("traces",), max_bytes=50_000):
            size += len(request.body)
            now = tracemalloc.get_traced_memory()[0] + pa.total_allocated_bytes() - before
            held = max(held, now)
        tracemalloc.stop()
        peaks.append(held)
        writer.close()
    assert peaks[1] < 1.5 * peaks[0] + 500_000
    assert peaks[1] < size / 2


@pytest.mark.parametrize("kind", sorted(all_kinds()))
def test_every_kind(tmp_path, kind):
    """No kind is refused, with rows of zeros and without rows."""
    for number, rows in enumerate(([], [{"ts": 1}, {"ts": 2**62}])):
        (tmp_path / str(number)).mkdir()
        stacks = (kind,) if all_kinds()[kind].stacks is True else ()
        rec = written(tmp_path / str(number), stacks=stacks, **{kind: rows})
        for signal in SIGNALS:
            messages(rec, signal)


def test_tables_with_fewer_columns(tmp_path):
    """As imported profiles have them: what is there is told, nothing is refused."""
    writer = SessionWriter.create(tmp_path / "f.wb", manifest(["offcpu", "http"], 0, 0))
    for table, batches in side_batches().items():
        for batch in batches:
            writer.append(table, batch)
    fewer = batch_of("offcpu", truth(("offcpu",), 50).columns["offcpu"])
    fewer = fewer.select(["ts", "pid", "tid", "blocked", "runnable", "stack_id", "weight"])
    for kind, batch in (("offcpu", fewer), ("http", fewer.select(["ts"]))):
        writer.add_table(kind, batch.schema)
        writer.append(kind, batch)
    writer.update()
    writer.finish(reason="done", **final_changes(["offcpu", "http"], 0))
    rec = Recording.open(tmp_path / "f.wb")
    assert {s.name for s in spans(messages(rec, "traces"))} >= {"bash", "worker-0"}
    assert not any(s.name == "sleeping" for s in spans(messages(rec, "traces")))
    counted = last_points(messages(rec, "metrics"), "workbench.off_cpu.duration")
    assert sum(point.count for point in counted) == fewer["weight"].to_numpy().sum()
    assert len(messages(rec, "profiles")) == 1
