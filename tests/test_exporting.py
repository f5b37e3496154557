"""One export as a value: what it does, and the command line that does the same."""

from __future__ import annotations

import shlex
import threading
from pathlib import Path

import pytest
from synthetic import make_session, selections, start_of

import workbench as wb
from workbench.cli import main
from workbench.errors import CancelledError, ExportError
from workbench.exporting import SEND, Export, emptiness, unfit, usual
from workbench.formats import formats, writable
from workbench.part import Part, part_of


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    path = tmp_path_factory.mktemp("exporting") / "it's a session.wb"
    return wb.open(make_session(path, rows=900))


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


def test_a_part_that_holds_nothing_is_told(session):
    nobody = session.where(comm="nobody")
    for table in (None, "syscalls", "traces"):
        assert emptiness(session, table) == ""
        assert "No event" in emptiness(nobody, table)
    assert emptiness(nobody, "stacks") == ""


def test_a_file_of_a_strange_name_is_no_pipe():
    text = Export(format="csv", output="-").command("s.wb", Part())
    assert text == "workbench export s.wb --format=csv -o ./-"


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


def test_what_a_session_cannot_be_is_an_error_with_a_way_out(session, tmp_path):
    calls = wb.open(make_session(tmp_path / "calls.wb", rows=50, kinds=("syscalls",)))
    for format in ("pprof", "pprof-plain", "folded", "speedscope"):
        with pytest.raises(ExportError, match=r"no stacks(.|\n)*csv") as caught:
            Export(format=format, output=str(tmp_path / "x")).run(calls)
        assert str(unfit(calls, format)) == str(caught.value)
        assert usual(calls, format) == "none"
        assert unfit(session, format) is None
        assert usual(session, format) == "cpu (default)"
    assert not (tmp_path / "x").exists()
    assert unfit(calls, SEND) is None
    assert usual(calls, "csv") == "syscalls (default)"
    assert usual(calls, "chrome") == usual(calls, "otlp-json") == "all"
    assert usual(calls, "otlp-proto") == "the first that there is"


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
