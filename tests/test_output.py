"""Where `wb.capture` puts a session, and that it overwrites nothing else."""

import os

import pytest
from fake_recorder import told_spec
from synthetic import make_session

from workbench.client import Capture, capture
from workbench.errors import StorageError, WorkbenchError
from workbench.output import OldSession
from workbench.session import Session

pytestmark = pytest.mark.usefixtures("place")
ME = {"pid": os.getpid()}


def test_without_output_the_session_is_a_private_directory(place):
    session = capture("syscalls", **ME, duration=0.05)
    folder = place / "tmp" / f"workbench-{os.getuid()}"
    assert session.path.parent == folder
    assert session.path.is_dir()
    assert session.path.name.endswith(".wb")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not told_spec(place)["pack"]


@pytest.mark.parametrize("trap", ["link", "file"])
def test_somebody_elses_directory_is_not_used(place, trap):
    folder = place / "tmp" / f"workbench-{os.getuid()}"
    folder.symlink_to(place) if trap == "link" else folder.write_text("")
    with pytest.raises(StorageError, match=f"workbench-{os.getuid()}"):
        capture("cpu", **ME)


def test_an_existing_session_is_kept_unless_told_otherwise(place):
    path = make_session(place / "s.wb", rows=10)
    before = path.read_bytes()
    with pytest.raises(StorageError, match="exists already"):
        capture("syscalls", **ME, output=path)
    assert path.read_bytes() == before
    session = capture("syscalls", **ME, output=path, duration=0.01, overwrite=True)
    assert session["syscalls"].num_rows == 300
    directory = make_session(place / "d.wb", rows=10, saved=False)
    capture("syscalls", **ME, output=directory, duration=0.01, overwrite=True)
    assert directory.is_file()


@pytest.mark.parametrize(
    "files",
    [
        ["notes.txt"],
        ["package.json"],
        ["data.parquet"],
        ["manifest.json", "messages.json"],
        ["manifest.json"],
        ["manifest.json", "src/"],
        ["syscalls.arrows", "manifest.json", "thesis.tex"],
    ],
)
def test_overwrite_never_removes_what_is_no_session(place, files):
    folder = place / "precious"
    folder.mkdir()
    for name in files:
        (folder / name).mkdir() if name.endswith("/") else (folder / name).write_text("[1]")
    with pytest.raises(StorageError, match="not a session"):
        capture("syscalls", **ME, output=folder, overwrite=True)
    assert {p.name for p in folder.iterdir()} == {name.rstrip("/") for name in files}


def test_overwrite_removes_neither_other_files_nor_live_sessions(place):
    (place / "notes.txt").write_text("mine")
    with pytest.raises(StorageError, match="not a session"):
        capture("syscalls", **ME, output=place / "notes.txt", overwrite=True)
    made = capture("syscalls", **ME, output=place / "s.wb")
    with made as session, pytest.raises(StorageError, match="being recorded"):
        assert session.state == "recording"
        capture("syscalls", **ME, output=place / "s.wb", overwrite=True)
    assert made.session.state == "complete"


@pytest.mark.parametrize("saved", [True, False])
def test_a_capture_that_does_not_start_leaves_the_old_session(place, monkeypatch, saved):
    path = make_session(place / "s.wb", rows=10, saved=saved)
    monkeypatch.setenv("FAKE_RECORDER", "error")
    with pytest.raises(WorkbenchError):
        capture("syscalls", **ME, output=path, duration=0.01, overwrite=True)
    with Session.open(path) as session:
        assert session["syscalls"].num_rows == 10
    assert [p.name for p in place.iterdir() if "s.wb" in p.name] == ["s.wb"]


def test_the_old_session_stays_until_the_new_one_has_begun(place):
    path = make_session(place / "s.wb", rows=10)
    made = capture("syscalls", **ME, output=path, overwrite=True)
    assert path.is_file()
    with made:
        assert path.is_dir()
    assert [p.name for p in place.iterdir() if "s.wb" in p.name] == ["s.wb"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_comes_to_be_there_before_the_start_is_kept(place, overwrite):
    made = capture("syscalls", **ME, output=place / "s.wb", overwrite=overwrite)
    (place / "s.wb").mkdir()
    (place / "s.wb" / "thesis.tex").write_text("mine")
    with pytest.raises(StorageError):
        made.start()
    assert (place / "s.wb" / "thesis.tex").read_text() == "mine"


def test_what_cannot_be_moved_is_named(place):
    path = make_session(place / "s.wb", rows=10)
    (place / f".s.wb.{os.getpid()}.old").mkdir()
    with pytest.raises(StorageError, match="cannot be overwritten"):
        OldSession(path)
    assert path.is_file()


def test_an_empty_directory_is_room_enough(place):
    (place / "s.wb").mkdir()
    made = capture("syscalls", **ME, output=place / "s.wb")
    assert isinstance(made, Capture)
