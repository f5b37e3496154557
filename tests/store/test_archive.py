from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile

import pytest
import synthetic

from workbench.errors import SessionCorruptError, StorageError
from workbench.store import archive as module
from workbench.store.archive import Archive, is_archive, pack
from workbench.store.reader import open_store


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return synthetic.make_session(tmp_path_factory.mktemp("archive") / "a.wb", rows=500)


def rewritten(saved, path, change):
    """Write the session again with zipfile; `change` gets and returns {name: content}."""
    with zipfile.ZipFile(saved) as source:
        content = change({name: source.read(name) for name in source.namelist()})
    with zipfile.ZipFile(path, "w") as target:
        for name, data in content.items():
            target.writestr(name, data)
    return path


def test_pack_gives_a_plain_zip_with_stored_members(saved):
    with zipfile.ZipFile(saved) as file:
        assert file.testzip() is None
        assert file.namelist()[0] == "manifest.json"
        assert {info.compress_type for info in file.infolist()} == {zipfile.ZIP_STORED}
    assert is_archive(saved)


def test_same_session_same_bytes(tmp_path):
    directory = synthetic.make_session(tmp_path / "d", rows=100, saved=False)
    one, two = pack(directory, tmp_path / "one"), pack(directory, tmp_path / "two")
    assert one.read_bytes() == two.read_bytes()


def test_what_zipfile_wrote_can_be_read(saved, tmp_path):
    path = rewritten(saved, tmp_path / "b.wb", lambda content: content)
    assert open_store(path).manifest == open_store(saved).manifest


def test_zip64_members(saved, tmp_path):
    path = tmp_path / "b.wb"
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            with target.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
                member.write(source.read(name))
    assert Archive(path, verify=True).manifest == Archive(saved).manifest


def test_a_running_session_is_not_packed_and_nothing_is_left(tmp_path):
    synthetic.write_streams(tmp_path / "d", rows=10).close()
    with pytest.raises(StorageError, match="not finished"):
        pack(tmp_path / "d", tmp_path / "a.wb")
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


def test_a_failed_pack_keeps_the_old_file(saved, tmp_path):
    directory = synthetic.make_session(tmp_path / "d", rows=100, saved=False)
    target = tmp_path / "a.wb"
    shutil.copy(saved, target)
    (directory / "cpu.parquet").unlink()
    with pytest.raises(StorageError):
        pack(directory, target)
    assert target.read_bytes() == saved.read_bytes()
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    "change",
    [
        lambda c: {k: v for k, v in c.items() if k != "manifest.json"},
        lambda c: {k: v for k, v in c.items() if k != "cpu.parquet"},
        lambda c: c | {"extra.parquet": b""},
        lambda c: c | {"../../x": b""},
        lambda c: c | {"x.py": b""},
        lambda c: c | {"manifest.json": b"{}"},
        lambda c: c | {"manifest.json": c["manifest.json"].replace(b'"complete"', b'"recording"')},
    ],
)
def test_wrong_members_are_refused(saved, tmp_path, change):
    with pytest.raises(SessionCorruptError):
        open_store(rewritten(saved, tmp_path / "b.wb", change))


def test_crc_is_checked_at_first_use_or_at_once(saved, tmp_path, monkeypatch):
    data = bytearray(saved.read_bytes())
    member = Archive(saved)._members["cpu.parquet"]
    data[member.start + member.size // 2] ^= 1
    path = tmp_path / "b.wb"
    path.write_bytes(data)
    store = open_store(path)
    assert sum(b.num_rows for b in store.sources["syscalls"].batches()) == 500
    with pytest.raises(SessionCorruptError, match="CRC"):
        list(store.sources["cpu"].batches())
    with pytest.raises(SessionCorruptError, match="CRC"):
        open_store(path, verify=True)
    monkeypatch.setattr(module, "VERIFIED_BYTES", 100)
    Archive(path).table("cpu")  # too large to be checked


def test_opening_does_not_import_dataframe_libraries(saved):
    code = "import sys; from workbench.recording import Recording; Recording.open(sys.argv[1])\n"
    code += "print(sorted({'polars', 'pandas'} & set(sys.modules)))"
    command = [sys.executable, "-c", code, str(saved)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(out.replace("'", '"')) == []


def test_what_is_no_file_is_not_replaced(tmp_path):
    directory = synthetic.make_session(tmp_path / "d.wb", rows=10, saved=False)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(StorageError, match="no place for a session"):
        pack(directory, tmp_path / "fifo")
    assert (tmp_path / "fifo").is_fifo()
