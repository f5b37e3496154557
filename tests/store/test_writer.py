from __future__ import annotations

import json
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow as pa
import pytest
import synthetic

from workbench.errors import StorageError
from workbench.store.manifest import Manifest
from workbench.store.reader import open_store
from workbench.store.stream import Stream
from workbench.store.writer import SessionWriter

TESTS = Path(__file__).parent.parent


def test_finish_replaces_streams_by_parquet(tmp_path):
    path = tmp_path / "a.wb"
    writer = synthetic.write_streams(path, rows=1000)
    assert json.loads((path / "recorder.pid").read_text())["pid"] > 0
    assert Manifest.from_json((path / "manifest.json").read_bytes()).state == "recording"
    writer.finish(reason="asked to", **synthetic.final_changes(("syscalls", "cpu"), 1000))
    tables = ("syscalls", "cpu", "processes", "stacks", "frames")
    expected = {"manifest.json", *(f"{t}.parquet" for t in tables)}
    assert {p.name for p in path.iterdir()} == expected
    manifest = Manifest.from_json((path / "manifest.json").read_bytes())
    assert (manifest.state, manifest.reason) == ("complete", "asked to")
    assert manifest.rows("syscalls") == 1000
    assert manifest.losses[0]["produced"] == 520


def test_every_append_is_seen_by_another_process(tmp_path):
    path = tmp_path / "a.wb"
    batch = synthetic.batch_of("cpu", synthetic.truth(("cpu",), 50).columns["cpu"])
    writer = SessionWriter.create(path, synthetic.manifest(["cpu"], 50, 0))
    code = """
        import sys
        from workbench.store.reader import open_store
        store = open_store(sys.argv[1])
        print(store.manifest.state, store.sources["cpu"].num_rows)
    """
    for number in (1, 2):
        writer.append("cpu", batch)
        command = [sys.executable, "-c", textwrap.dedent(code), str(path)]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert out.split() == ["recording", str(50 * number)]


def test_context_manager_finishes_or_leaves_streams(tmp_path):
    manifest = synthetic.manifest(["cpu"], 0, 0)
    with SessionWriter.create(tmp_path / "good", manifest, {"cpu": synthetic.CPU_SAMPLES}):
        pass
    assert open_store(tmp_path / "good").manifest.state == "complete"
    assert open_store(tmp_path / "good").sources["cpu"].num_rows == 0

    class FailError(Exception):
        pass

    def fail():
        with SessionWriter.create(tmp_path / "bad", manifest, {"cpu": synthetic.CPU_SAMPLES}):
            raise FailError

    with pytest.raises(FailError):
        fail()
    assert (tmp_path / "bad" / "cpu.arrows").exists()


def test_where_a_session_cannot_be(tmp_path):
    manifest = synthetic.manifest(["cpu"], 0, 0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(StorageError, match="not empty"):
        SessionWriter.create(tmp_path / "full", manifest)
    with pytest.raises(StorageError):
        SessionWriter.create(tmp_path / "full" / "x", manifest)
    writer = SessionWriter.create(tmp_path / "ok", manifest)
    with pytest.raises(ValueError, match="name of a table"):
        writer.add_table("../x", synthetic.CPU_SAMPLES)


def test_full_disk_leaves_what_was_flushed(tmp_path):
    """RLIMIT_FSIZE stands for the full disk: write(2) fails in the middle of a batch."""
    child = f"""
        import resource, signal, sys
        sys.path.insert(0, {str(TESTS)!r})
        import synthetic
        from workbench.errors import StorageError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        writer = synthetic.write_streams(sys.argv[1], kinds=("cpu",), rows=100, batch_rows=10)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        batch = synthetic.batch_of("cpu", synthetic.truth(("cpu",), 100).columns["cpu"])
        written = 100
        try:
            while True:
                writer.append("cpu", batch)
                written += 100
        except StorageError as error:
            print(written, bool(error.why))
        try:
            writer.append("cpu", batch)
        except StorageError:
            print("closed")
    """
    path = tmp_path / "a.wb"
    command = [sys.executable, "-c", textwrap.dedent(child), str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    written, why, closed = result.stdout.split()
    assert (why, closed) == ("True", "closed")
    store = open_store(path)
    assert store.manifest.state == "recovered"
    assert store.sources["cpu"].num_rows == int(written) > 1000
    assert sum(b.num_rows for b in store.sources["cpu"].batches()) == int(written)
    assert Stream(path / "cpu.arrows", "cpu").truncated


def test_full_disk_while_converting_keeps_the_streams(tmp_path, monkeypatch):
    path = tmp_path / "a.wb"
    writer = synthetic.write_streams(path, kinds=("cpu",), rows=5000)
    original = resource.getrlimit(resource.RLIMIT_FSIZE)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("workbench.store.convert.os.fsync", full)
    with pytest.raises(StorageError, match="Free space"):
        writer.finish()
    monkeypatch.undo()
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == original
    assert not list(path.glob("*.part"))
    assert open_store(path).sources["cpu"].num_rows == 5000


def test_write_cost(tmp_path):
    """What Python and Arrow add to the kernel's copy stays small per row of 88 bytes."""
    batch = synthetic.batch_of("syscalls", synthetic.truth(("syscalls",), 1000).columns["syscalls"])
    big = pa.Table.from_batches([batch] * 60).combine_chunks().to_batches()[0]
    writer = SessionWriter.create(tmp_path / "a.wb", synthetic.manifest(["syscalls"], 0, 0))
    writer.append("syscalls", big)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    for _ in range(10):
        writer.append("syscalls", big)
    user = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before
    writer.close()
    assert user / (10 * big.num_rows) < 30e-9
