"""The panel without a browser: what is pressed, what it says, what becomes of it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from otlp_receivers import TAKE_AND_STALL, GrpcReceiver, HttpReceiver, Reply
from synthetic import make_session

import workbench as wb
from workbench.errors import CancelledError, ExportError, StorageError
from workbench.export_panel import ExportPanel
from workbench.export_panel.format_form import format_choices
from workbench.exporting import SEND
from workbench.formats import writable


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return wb.open(make_session(tmp_path_factory.mktemp("panel") / "s.wb", rows=600))


def press(panel, button):
    button.click()
    assert panel.wait(60)
    return panel.result


def in_a_shell(text):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-c", text], env=os.environ | {"PATH": path}, capture_output=True, text=True
    )


def test_it_writes_what_it_says_and_so_does_a_shell(session, tmp_path):
    part = session.window(1.0, 8.5).where(comm=["worker-0", "bash"])
    panel = part.export_panel()
    assert isinstance(panel, ExportPanel)
    assert press(panel, panel._activity.export) == Path("s.pb.gz")
    expected = part.export("pprof", tmp_path / "expected").read_bytes()
    assert Path("s.pb.gz").read_bytes() == expected
    assert "Download s.pb.gz" in panel._activity.outcome.value
    assert panel._activity.status.value == ""
    assert "replaced" not in panel._file.note.value
    Path("s.pb.gz").unlink()
    done = in_a_shell(panel.command)
    assert (done.returncode, done.stdout, done.stderr) == (0, "s.pb.gz\n", "")
    assert Path("s.pb.gz").read_bytes() == expected


@pytest.mark.parametrize("format", sorted(writable()))
def test_every_format(session, format, tmp_path):
    panel = session.export_panel(format=format)
    path = press(panel, panel._activity.export)
    assert path.name == "s" + writable()[format].suffix
    assert path.read_bytes() == session.export(format, tmp_path / "expected").read_bytes()
    assert shlex.split(panel.command)[-1] == str(path)


def test_the_format_changes_what_is_asked(session):
    panel = session.export_panel()
    names = {label.split(":")[0]: value for label, value in format_choices()}
    assert set(names.values()) == {*writable(), SEND}
    assert [value for _, value in panel._format.tables.options] == ["", "cpu"]
    panel._format.chosen.value = "csv"
    assert panel._file.entry.value == "s.csv"
    assert "processes" in {value for _, value in panel._format.tables.options}
    panel._format.tables.value = "processes"
    assert "--table=processes" in panel.command
    panel._file.entry.value = "my.csv"
    panel._format.chosen.value = "chrome"
    assert panel.export.table is None
    assert panel._file.entry.value == "my.csv"  # a name of one's own stays
    panel._file.entry.value = ""
    panel._format.chosen.value = "arrow"
    assert panel._file.entry.value == "s.arrow"
    Path("s.arrow").touch()
    panel._file.entry.value = "./s.arrow"
    assert "replaced" in panel._file.note.value
    panel._format.chosen.value = SEND
    assert panel._file.widget.layout.display == "none"
    assert panel._activity.test.layout.display is None
    assert panel.command.endswith("--format=otlp")


def test_the_command_line_follows(session):
    panel = session.export_panel(format="folded")
    panel._part._time.value = (2.0, 10.0)
    panel._part._pids.value = ("1000",)
    panel._file.entry.value = "it's.txt"
    assert shlex.split(panel.command)[2:] == [
        str(session.path), "--window=2.00:", "--where=pid=1000", "--format=folded",
        "-o", "it's.txt",
    ]  # fmt: skip


def test_a_condition_is_exported_and_has_no_command(session, tmp_path):
    part = session.where(expr=pl.col("pid") > 1500)
    panel = part.export_panel(format="csv", table="syscalls")
    assert panel.command == ""
    assert 'session.save("part.wb")' in panel._command.why
    made = press(panel, panel._activity.export)
    expected = part.export("csv", tmp_path / "expected", table="syscalls")
    assert made.read_bytes() == expected.read_bytes()
    assert made.read_bytes() != session.export("csv", expected, table="syscalls").read_bytes()


def test_a_part_without_events_is_told(session):
    panel = session.where(comm="nobody").export_panel(format="csv")
    assert press(panel, panel._activity.export) == Path("s.csv")
    assert "No event of the session" in panel._activity.outcome.value
    panel._part._comms.value = ()
    assert press(panel, panel._activity.export) == Path("s.csv")
    assert "No event" not in panel._activity.outcome.value


def test_errors_are_shown(session):
    panel = session.export_panel(output="no/such/folder/x.pb.gz")
    assert isinstance(press(panel, panel._activity.export), StorageError)
    assert 'role="alert"' in panel._activity.outcome.value
    assert "no/such/folder" in panel._activity.outcome.value
    panel._file.entry.value = str(session.path)
    assert isinstance(press(panel, panel._activity.export), ExportError)
    assert "the session itself" in panel._activity.outcome.value
    panel._file.entry.value = "x.pb.gz"
    assert press(panel, panel._activity.export) == Path("x.pb.gz")
    assert "alert" not in panel._activity.outcome.value
    assert not panel._activity.export.disabled


def test_it_can_be_cancelled_and_used_meanwhile(session, monkeypatch):
    begun, go = threading.Event(), threading.Event()
    csv = writable()["csv"]

    def slow(rec, file, table):
        file.write(b"a")
        begun.set()
        go.wait(60)
        csv.write(rec, file, table)

    known = {"csv": replace(csv, write=slow)}
    monkeypatch.setattr("workbench.formats.formats", lambda: known)
    panel = session.export_panel(format="csv")
    panel._activity.export.click()
    assert begun.wait(60)
    assert (panel._activity.export.disabled, panel._activity.stop.disabled) == (True, False)
    panel.start()  # a second one does not begin
    assert not panel.wait(0.5)
    assert "1 bytes" in panel._activity.status.value
    panel._file.entry.value = "other.csv"  # settings of the next one
    assert panel._activity.export.disabled
    panel._activity.stop.click()
    go.set()
    assert panel.wait(60)
    assert isinstance(panel.result, CancelledError)
    assert "Nothing was left behind" in panel._activity.outcome.value
    assert list(Path().iterdir()) == []
    assert (panel._activity.export.disabled, panel._activity.stop.disabled) == (False, True)


@pytest.mark.parametrize("receiver", [HttpReceiver, GrpcReceiver])
def test_it_tests_and_sends(session, receiver):
    class Receiver(receiver):
        def take(self, signal, message):
            with self.lock:
                self.taken[signal][message.SerializeToString(deterministic=True)] += 1

    protocol = "grpc" if receiver is GrpcReceiver else "http/json"
    part = session.where(comm="worker-0")
    with Receiver() as there, Receiver() as shell:
        panel = part.export_panel(
            format=SEND, endpoint=there.endpoint, protocol=protocol, headers="x-key=s3cret"
        )
        assert press(panel, panel._activity.test).ok
        assert panel._activity.outcome.value.count("✓") == 4
        for taken in there.taken.values():
            taken.clear()
        report = press(panel, panel._activity.export)
        assert report.ok
        assert "all delivered" in panel._activity.outcome.value
        assert {headers["x-key"] for _, headers, _ in there.requests} == {"s3cret"}
        panel._receiver._endpoint.value = shell.endpoint
        done = in_a_shell(panel.command.replace("=...", "=x-key=s3cret"))
        assert done.returncode == 0, done.stderr
    assert shell.taken == there.taken
    assert sum(taken.total() for taken in there.taken.values()) >= 4
    assert "s3cret" not in panel.command + panel._activity.outcome.value


def test_sending_can_be_cancelled(session):
    with HttpReceiver(*[TAKE_AND_STALL] * 9) as there:
        there.take = lambda *_: None  # real spans have no numbers of the tests
        panel = session.export_panel(format=SEND, endpoint=there.endpoint, signals=["traces"])
        panel._activity.export.click()
        assert there.stalled.wait(60)
        panel._activity.stop.click()
        assert panel.wait(60)
    assert panel.result.cancelled
    assert "cancelled: what had not been encoded" in panel._activity.outcome.value
    assert 'role="alert"' in panel._activity.outcome.value
    assert not panel._activity.export.disabled


def test_what_a_receiver_refuses_is_shown(session):
    with HttpReceiver(*[Reply(401, "who are you?")] * 9) as there:
        panel = session.export_panel(format=SEND, endpoint=there.endpoint, signals=["logs"])
        assert not press(panel, panel._activity.test).ok
        assert "✗ logs" in panel._activity.outcome.value
        assert not press(panel, panel._activity.export).ok
        assert "NOT all delivered" in panel._activity.outcome.value
        assert 'role="alert"' in panel._activity.outcome.value
    panel._receiver._signals["logs"].value = False
    assert "No signal" in str(press(panel, panel._activity.export))


def test_what_to_do_where_packages_are_missing(session, monkeypatch):
    monkeypatch.setitem(sys.modules, "grpc", None)
    panel = session.export_panel(format=SEND)
    assert not panel._activity.export.disabled
    panel._receiver._protocol.value = "grpc"
    assert panel._activity.export.disabled
    assert panel._activity.test.disabled
    assert "pip install &#x27;ebpf-workbench[otlp]&#x27;" in panel._activity.outcome.value
    panel._format.chosen.value = "pprof"
    assert not panel._activity.export.disabled
    assert panel._activity.outcome.value == ""


def test_an_imported_profile(tmp_path):
    file = tmp_path / "a.folded"
    file.write_text("main;work 5\nmain 2\n")
    session = wb.load(file, tmp_path / "a.wb")
    panel = session.export_panel(format="folded", output="again.folded")
    made = press(panel, panel._activity.export)
    assert made.read_bytes() == session.export("folded", tmp_path / "expected").read_bytes()
    assert made.read_text().count("work 5") == 1
    for format in ("pprof", "speedscope"):
        panel._format.chosen.value = format
        assert press(panel, panel._activity.export) == Path("again.folded")
    assert in_a_shell(panel.command).returncode == 0


def test_what_has_no_meaning(session):
    with pytest.raises(ExportError, match=r"no colour(.|\n)*endpoint"):
        session.export_panel(colour="red")
    with pytest.raises(ExportError, match="docx"):
        session.export_panel(format="docx")
