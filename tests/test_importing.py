"""Files become sessions on which everything works."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import numpy as np
import pytest

import workbench as wb
from workbench.errors import ExportError, ImportFormatError, StorageError
from workbench.formats.format import Format
from workbench.importing import convert_file, import_file, is_session
from workbench.profiles.content import lines
from workbench.profiles.interning import Stacks
from workbench.profiles.profile import Profile, Samples, Value

FILE = b"LINES\nmain;work;inner 5\nmain 2\nmain;work 4000000000000\n"


def read(file):
    """A format of the smallest kind: "root;...;leaf nanoseconds"."""
    stacks, ids, amounts = Stacks(), [], []
    rows = lines(file)
    if next(rows, b"") != b"LINES":
        raise ImportFormatError("It does not begin with LINES.", advice="Write better files.")
    for line in rows:
        text, _, amount = line.decode().rpartition(" ")
        ids.append(stacks.stack([stacks.frame(name) for name in reversed(text.split(";"))]))
        amounts.append(int(amount))
    value = Value("cpu", "nanoseconds", np.array(amounts, np.int64))
    samples = Samples(np.array(ids, np.uint32), (value,))
    return Profile(
        stacks.frames_table(), stacks.stacks_table(), (samples,), program="toy", start_ns=10**18
    )


TOY = Format("toy", ".toy", "", read=read, recognise=lambda head: head.startswith(b"LINES"))


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    from workbench import formats

    known = {**formats.formats(), "toy": TOY}
    monkeypatch.setattr("workbench.formats.formats", lambda: known)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.toy"
    path.write_bytes(FILE)
    return path


def test_every_view_works_on_it(file, tmp_path):
    made = import_file(file)
    assert made == tmp_path / "a.toy.wb"
    session = wb.open(made, verify=True)
    assert session.kinds == ("cpu",)
    assert session.start.year == 2001
    tree = session.flamegraph().tree
    assert (tree.total, tree.unit) == (4_000_000_000_007, "ns")
    assert tree.label(1) == "toy"
    assert session.flamegraph(by=(), weight="weight").tree.total == 3
    functions = session.hotspots().functions
    assert functions.filter(name="work").select("self", "total").row(0) == (
        4_000_000_000_000,
        4_000_000_000_005,
    )
    assert "66 min 40 s" in session.hotspots().fragment()
    session.report(tmp_path / "r.html")
    session.export("folded", tmp_path / "out")
    assert "toy;main;work;inner 5" in (tmp_path / "out").read_text()
    assert session.sql("select sum(cpu_nanoseconds) as s from cpu").item() == 4_000_000_000_007
    assert "imported from a.toy" in repr(session)


def test_only_sessions_are_overwritten_and_only_when_asked(file, tmp_path):
    made = import_file(file)
    with pytest.raises(StorageError, match="exists already"):
        import_file(file)
    before = made.read_bytes()
    file.write_bytes(b"nothing that is known")
    with pytest.raises(ImportFormatError, match=r"a\.toy cannot be imported"):
        import_file(file, made, overwrite=True)
    assert made.read_bytes() == before
    with pytest.raises(ImportFormatError, match=r"LINES(.|\n)*Write better"):
        import_file(file, format="toy", overwrite=True)
    file.write_bytes(FILE)
    assert import_file(file, overwrite=True) == made
    with pytest.raises(StorageError, match="cannot be read"):
        import_file(tmp_path / "none", tmp_path / "x.wb")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.toy", "a.toy.wb"]


def test_load_opens_files_and_sessions(file, tmp_path):
    session = wb.load(file)
    assert session.flamegraph().tree.total == 4_000_000_000_007
    assert wb.load(session.path).path == session.path
    assert wb.load(file, tmp_path / "b.wb").path == tmp_path / "b.wb"
    assert is_session(tmp_path / "b.wb")
    assert not is_session(file)
    assert not is_session(tmp_path / "none")


def test_convert_goes_all_ways(file, tmp_path):
    session = convert_file(file, tmp_path / "c.wb")
    assert is_session(session)
    assert convert_file(session, tmp_path / "d.wb").exists()
    folded = convert_file(session, tmp_path / "c.folded")
    direct = convert_file(file, tmp_path / "d.folded")
    assert folded.read_bytes() == direct.read_bytes() != b""
    assert convert_file(file, tmp_path / "c", to="folded").read_bytes() == folded.read_bytes()
    assert convert_file(file, tmp_path / "c.csv", table="stacks", source="toy").exists()
    with pytest.raises(StorageError, match="exists"):
        convert_file(session, tmp_path / "d.wb")
    with pytest.raises(ExportError, match="--to"):
        convert_file(file, tmp_path / "c.xyz")


@pytest.mark.timeout(60)
def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # nobody writes into it
    for place in (tmp_path / "pipe", tmp_path, "/dev/zero", tmp_path / "none"):
        with pytest.raises(StorageError, match="cannot be read"):
            import_file(place, tmp_path / "a.wb")
    assert {path.name for path in tmp_path.iterdir()} == {"pipe"}


@pytest.mark.parametrize("year", [1900, 2400])
def test_files_of_any_time(file, year):
    """Sessions count ns from 1970 to 2262, file systems begin earlier and end later."""
    at = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    try:
        os.utime(file, (at, at))
    except OSError:
        pytest.skip("this file system has no such times")
    assert wb.open(import_file(file)).kinds == ("cpu",)


@pytest.mark.parametrize("error", [MemoryError("17 GiB"), RecursionError(), ImportFormatError("x")])
def test_a_failure_leaves_nothing_and_names_the_file(error, file, tmp_path, monkeypatch):
    def fail(_file):
        raise error

    known = {"toy": Format("toy", ".toy", "", read=fail, recognise=lambda _: 1.0)}
    monkeypatch.setattr("workbench.formats.formats", lambda: known)
    with pytest.raises(ImportFormatError, match=r"a\.toy cannot be imported"):
        import_file(file)
    assert {path.name for path in tmp_path.iterdir()} == {"a.toy"}


def test_what_a_session_cannot_hold_names_the_file_too(file, monkeypatch):
    monkeypatch.setattr("workbench.profiles.tables.MAX_TABLES", 0)
    with pytest.raises(ImportFormatError, match=r"a\.toy cannot be imported") as caught:
        import_file(file)
    assert "more than 0 kinds" in caught.value.why
