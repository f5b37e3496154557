from __future__ import annotations

import signal
import subprocess
import sys

import pytest
import synthetic

from workbench.errors import StorageError
from workbench.store.lock import write_lock
from workbench.store.reader import open_store
from workbench.store.save import save_store


def tables(store):
    return {name: (source.schema, source.batches()) for name, source in store.sources.items()}


def test_a_finished_directory_is_packed_as_it_is(tmp_path):
    store = open_store(synthetic.make_session(tmp_path / "a", rows=100, saved=False))
    save_store(store, {}, tmp_path / "b.wb")
    assert open_store(tmp_path / "b.wb").manifest == store.manifest


def test_a_saved_session_can_be_saved_over_itself(tmp_path):
    path = synthetic.make_session(tmp_path / "a.wb", rows=100)
    store = open_store(path)
    save_store(store, tables(store), path, "cpu = 0")
    again = open_store(path, verify=True)
    assert again.manifest.reason.endswith("only cpu = 0")
    assert again.manifest.rows("cpu") == 100


def test_a_failure_leaves_nothing(tmp_path):
    store = open_store(synthetic.make_session(tmp_path / "a.wb", rows=100))

    def broken():
        raise OSError(28, "No space left on device")
        yield

    schema = store.sources["cpu"].schema
    with pytest.raises(StorageError, match="Free space"):
        save_store(store, {"cpu": (schema, broken())}, tmp_path / "b.wb", "x")
    with pytest.raises(StorageError):
        save_store(store, tables(store), tmp_path / "none" / "b.wb")
    assert [path.name for path in tmp_path.iterdir()] == ["a.wb"]


KILLED = """
import os, signal, sys
from pathlib import Path
from workbench.store.reader import open_store
from workbench.store.save import save_store

store = open_store(Path(sys.argv[1]))

def batches():
    yield from store.sources["cpu"].batches()
    os.kill(os.getpid(), signal.SIGKILL)

save_store(store, {"cpu": (store.sources["cpu"].schema, batches())}, Path(sys.argv[2]), "x")
"""


def test_what_a_killed_process_leaves_is_hidden_and_removed_by_the_next_one(tmp_path):
    store = open_store(synthetic.make_session(tmp_path / "a.wb", rows=100))
    target = tmp_path / "b.wb"
    ended = subprocess.run([sys.executable, "-c", KILLED, store.path, target], check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = set(tmp_path.iterdir()) - {store.path}
    assert left.name.startswith(".b.wb.")
    others = [tmp_path / name for name in (".b.wb.1.part", ".b.wb.2.part", ".c.wb.3.part")]
    for one in others:
        one.mkdir()
    write_lock(others[0])  # of a process that lives
    (others[2] / "recorder.pid").write_text("{}")  # of another file
    save_store(store, tables(store), target, "x")
    assert set(tmp_path.iterdir()) == {store.path, target, *others}
    assert open_store(target, verify=True).manifest.rows("cpu") == 100
