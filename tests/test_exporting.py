"""One export as a value: what it does, and the command line that does the same."""

from __future__ import annotations

import shlex
import threading
from pathlib import Path

import polars as pl
import pytest
from synthetic import make_session

import workbench as wb
from workbench.cli import main
from workbench.errors import CancelledError, ExportError, QueryError
from workbench.exporting import SEND, Export, Part, part_of
from workbench.formats import formats, writable


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    path = tmp_path_factory.mktemp("exporting") / "it's a session.wb"
    return wb.open(make_session(path, rows=900))


def start_of(session):
    return session.manifest.start_ns


def selections(session):
    start = start_of(session)
    return {
        "all": session,
        "window": session.window(1.25, 7.5),
        "open": session.window(None, 5.0),
        "one ns": session.window(start + 1_234_567_891, start + 6_000_000_001),
        "far": session.window(start - 10**18, None),
        "values": session.where(comm=["worker-0", "worker-2"], pid=1000).window(0.5, 9.0),
        "twice": session.where(name=["read", "write"]).where(name=["write", "futex"]),
        "cpu": session.where(cpu=1, tid=range(1000, 1002)),
    }


@pytest.mark.parametrize(
    "name", ["all", "window", "open", "one ns", "far", "values", "twice", "cpu"]
)
def test_a_part_is_the_selection_that_it_was_made_of(session, name):
    chosen = selections(session)[name]
    again = part_of(chosen.selection, start_of(session)).of(session)
    for table in session.tables:
        assert again[table].polars().equals(chosen[table].polars()), table


def test_times_are_said_in_seconds_where_that_is_exact(session):
    start = start_of(session)
    said = part_of(session.window(1.5, start + 2_000_000_000).selection, start)
    assert said.window == ("1.5", "2.0")
    assert said.words() == ["--window=1.5:2.0"]
    assert part_of(session.window(None, 0.1).selection, start).words() == ["--window=:0.1"]
    far = start + 10**17 + 1  # three years later: a float has no ns there
    assert part_of(session.window(far).selection, start).window == (str(far), "")


def test_what_no_command_line_can_say(session):
    start = start_of(session)
    with pytest.raises(QueryError, match=r"polars or SQL(.|\n)*session\.save"):
        part_of(session.where(expr=pl.col("pid") > 1).selection, start)
    none = part_of(session.where(comm="a").where(comm="b").selection, start)
    assert none.where == (("comm", ()),)
    assert none.of(session)["syscalls"].num_rows == 0
    with pytest.raises(QueryError, match="no comm"):
        none.words()


@pytest.mark.parametrize(
    ("part", "what"),
    [
        (Part(window=("soon", "")), "soon"),
        (Part(window=("1", "2")), r"1\.0"),
        (Part(window=("3.0", "2.0")), "before it starts"),
        (Part(where=(("pid", ("x",)),)), "whole numbers"),
        (Part(where=(("colour", ("red",)),)), "Columns: pid, tid, comm"),
    ],
)
def test_parts_that_have_no_meaning(session, part, what):
    with pytest.raises(QueryError, match=what):
        part.of(session)


@pytest.mark.parametrize("format", sorted(writable()))
@pytest.mark.parametrize("name", ["all", "values"])
def test_the_command_line_writes_the_same_bytes(
    session, format, name, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    chosen = selections(session)[name]
    made = Export(format=format, output="it's out").run(chosen)
    text = Export(format=format, output="it's said").command(
        str(session.path), part_of(chosen.selection, start_of(session))
    )
    words = shlex.split(text)
    assert words[0] == "workbench"
    assert main(words[1:]) == 0
    assert capsys.readouterr().out == "it's said\n"
    assert (tmp_path / "it's said").read_bytes() == made.read_bytes() != b""


def test_the_command_line_names_the_table(session, tmp_path):
    export = Export(format="csv", table="processes", output="a b.csv")
    assert export.command("s.wb", Part()) == (
        "workbench export s.wb --format=csv --table=processes -o 'a b.csv'"
    )


def test_progress_is_told_in_bytes(session, tmp_path):
    told = []
    made = Export(format="csv", output=str(tmp_path / "x.csv")).run(session, told.append)
    assert told[-1] == f"{made.stat().st_size:,} bytes"
    assert len(told) > 1 or made.stat().st_size < 1 << 16


@pytest.mark.parametrize("format", sorted(writable()))
def test_a_cancelled_export_leaves_nothing_and_keeps_the_old_file(session, format, tmp_path):
    path = tmp_path / "out"
    path.write_text("old")
    cancel = threading.Event()
    export = Export(format=format, output=str(path))
    with pytest.raises(CancelledError, match="cancelled"):
        export.run(session, lambda _: cancel.set(), cancel)  # with its first bytes
        cancel.set()  # it was written at once: nothing was left to cancel
        export.run(session, None, cancel)
    assert [file.name for file in tmp_path.iterdir()] == ["out"]
    if format in {"csv", "chrome"}:
        assert path.read_text() == "old"


def test_where_an_export_goes_by_default():
    assert Export(format="pprof").beside("a.b/c.wb") == "a.b/c.pb.gz"
    assert Export(format="csv").beside("folder/") == "folder.csv"
    assert Export(format=SEND).beside("a.wb") == ""
    with pytest.raises(ExportError, match=r"docx(.|\n)*csv(.|\n)*otlp"):
        Export(format="docx").beside("a.wb")
    with pytest.raises(ExportError, match="no file"):
        Export(format="csv").run(None)


def test_headers_are_never_shown():
    options = {"endpoint": "http://x:4318", "headers": {"api-key": "s3cret"}, "insecure": False}
    export = Export(format=SEND, signals=("logs",), options=options)
    text = export.command("s.wb", Part())
    assert text == (
        "OTEL_EXPORTER_OTLP_HEADERS=... workbench export s.wb --format=otlp "
        "--signals=logs --endpoint=http://x:4318 --no-insecure"
    )
    assert "s3cret" not in repr(export)


def test_the_readme_lists_every_format():
    text = (Path(__file__).parents[1] / "README.md").read_text()
    for name, each in formats().items():
        suffix = f"`{each.suffix}`" if each.write else ""
        read = "yes" if each.read else ""
        assert f"| `{name}` | {suffix} | {read} | {each.meaning} |" in text, name
