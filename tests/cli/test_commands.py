"""What each command says about a synthetic session, and that `--json` is JSON."""

import csv
import json
import os
import sys
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from fake_recorder import python_of
from synthetic import make_session, truth

import workbench as wb
from workbench import kinds
from workbench.cli import commands, main
from workbench.formats import writable
from workbench.probe.support import Check
from workbench.session import load_profile


@pytest.fixture
def path(tmp_path):
    return make_session(tmp_path / "s.wb", rows=400)


def said(capsys, *words, code=0):
    assert main([str(word) for word in words]) == code
    return capsys.readouterr().out


@pytest.mark.parametrize("ok", [True, False])
def test_doctor(capsys, monkeypatch, ok):
    monkeypatch.setattr(
        "workbench.probe.support.checks", lambda: [Check("BTF", ok, "found", "Mend it.")]
    )
    assert ("Mend it." in said(capsys, "doctor", code=int(not ok))) is not ok
    found = json.loads(said(capsys, "doctor", "--json", code=int(not ok)))
    assert found["ok"] is ok
    assert found["checks"][0]["name"] == "BTF"


def test_kinds(capsys):
    text = said(capsys, "kinds")
    listing = json.loads(said(capsys, "kinds", "--json"))
    assert [entry["kind"] for entry in listing] == list(kinds.all_kinds())
    for entry in listing:
        assert entry["answers"] in text
        for name in entry["parameters"]:
            assert "--" + name.replace("_", "-") in text


def test_info(capsys, path):
    text = said(capsys, "info", path)
    about = json.loads(said(capsys, "info", path, "--json"))
    assert about["tables"]["syscalls"] == 400
    assert about["state"] == "complete"
    assert "complete: duration reached" in text
    assert "2025-10-09 08:53:20 UTC, 10.0 s" in text
    assert "python3 job.py" in text
    assert "lost       16 of 416 syscalls events, 3.85% (ring_full)" in text
    assert "wb_cpu: 150 ns a run" in text
    assert "84 MB at most" in text


def test_info_of_little(path):
    session = wb.open(path)
    about = commands.text(session)
    assert "reason known" not in about

    class Bare:
        manifest = session.manifest
        state, path, tables = "recording", path, {}

    from dataclasses import replace

    Bare.manifest = replace(
        session.manifest, stop_ns=None, reason="", target={}, losses=(), overhead=(), recorder={}
    )
    text = commands.text(Bare())
    assert "no reason known" in text
    assert "the whole machine" in text
    assert "lost" not in text
    Bare.manifest = replace(Bare.manifest, target={"pid": 7, "comm": "dd"})
    assert "pid 7, comm dd" in commands.text(Bare())


QUERY = "select pid, count(*) as n from syscalls group by pid order by pid"


def test_sql(capsys, path):
    rows = [json.loads(x) for x in said(capsys, "sql", path, QUERY, "--json").splitlines()]
    pids = truth(("syscalls", "cpu"), 400).columns["syscalls"]["pid"].tolist()
    assert {row["pid"]: row["n"] for row in rows} == {p: pids.count(p) for p in set(pids)}
    text = said(capsys, "sql", path, QUERY)
    assert all(str(row["pid"]) in text for row in rows)


@pytest.mark.parametrize("format", writable())
def test_export(capsys, path, tmp_path, format):
    beside = tmp_path / f"s{writable()[format].suffix}"
    assert said(capsys, "export", path, "--format", format) == f"{beside}\n"
    other = tmp_path / "other"
    assert said(capsys, "export", path, "--format", format, "-o", other) == f"{other}\n"
    assert other.read_bytes() == beside.read_bytes() != b""


def test_exports_of_a_table_hold_its_rows(capsys, path, tmp_path):
    out = {f: tmp_path / f"p.{f}" for f in ("csv", "parquet", "arrow")}
    for format, file in out.items():
        said(capsys, "export", path, "--format", format, "--table", "processes", "-o", file)
    with out["csv"].open() as file:
        rows = list(csv.DictReader(file))
    assert [row["comm"] for row in rows][:3] == ["systemd", "bash", "worker-0"]
    assert pl.read_parquet(out["parquet"])["comm"].to_list() == [row["comm"] for row in rows]
    with pa.ipc.open_file(out["arrow"]) as file:
        assert file.read_all()["comm"].to_pylist() == [row["comm"] for row in rows]


def test_report(capsys, path, tmp_path):
    assert said(capsys, "report", path) == f"{tmp_path / 's.html'}\n"
    assert "<html" in (tmp_path / "s.html").read_text()
    said(capsys, "report", path, "-o", tmp_path / "r.html")
    assert (tmp_path / "r.html").stat().st_size > 10_000


@pytest.mark.parametrize(("found", "words"), [(True, []), (False, []), (True, ["--no-browser"])])
def test_open(capsys, path, monkeypatch, found, words):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda uri: opened.append(uri) or found)
    assert main(["open", str(path), *words]) == 0
    out, err = capsys.readouterr()
    report = Path(out.strip())
    assert report.name == "s.html"
    assert "<html" in report.read_text()
    assert opened == ([] if words else [report.as_uri()])
    assert ("no browser" in err) is not found
    report.unlink()
    report.parent.rmdir()


@pytest.fixture
def fake(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", python_of(tmp_path))
    monkeypatch.setenv("FAKE_RECORDER_LOG", str(tmp_path / "spec.json"))
    monkeypatch.chdir(tmp_path)
    return lambda: json.loads((tmp_path / "spec.json").read_text())


def test_record(capsys, fake, tmp_path):
    words = ["cpu,syscalls", "--hz", "7", "--syscalls", "read,write", "--no-follow", "--quiet"]
    assert main(["record", *words, "-o", "r.wb", "--", "sh", "-c", "exit 3"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "the target ended" in err
    asked = fake()
    taken = dict.fromkeys(("kernel_stacks", "user_stacks", "python_stacks"), True)
    assert asked["kinds"]["cpu"] == {"hz": 7, **taken}
    assert asked["kinds"]["syscalls"]["syscalls"] == ["read", "write"]
    assert asked["target"]["follow"] is False
    assert asked["target"]["command"] == ["sh", "-c", "exit 3"]
    assert wb.open(tmp_path / "r.wb").state == "complete"
    assert main(["record", "cpu", "-o", "r.wb", "--pid", str(os.getpid())]) == 1
    assert "exists already" in capsys.readouterr().err


def test_record_as_json_with_all_options(capsys, fake, tmp_path):
    make_session(tmp_path / "r.wb", rows=10)
    words = ["--duration", "0.05", "--ring-bytes", "8192", "--transport", "perf", "--overhead"]
    words += ["off", "--comm", "dd", "--cgroup", "/", "--force", "-o", "r.wb", "--json"]
    about = json.loads(said(capsys, "record", "syscalls", "--aggregate", *words))
    assert about["exit_code"] is None
    assert about["reason"] == "the duration is over"
    asked = fake()
    assert asked["kinds"]["syscalls"]["aggregate"] is True
    assert (asked["ring_bytes"], asked["transport"], asked["overhead"]) == (8192, "perf", "off")
    assert (asked["target"]["comm"], asked["target"]["cgroup"]) == ("dd", "/")


def test_record_names_its_output_after_kind_and_time(capsys, fake, tmp_path):
    words = ["record", "cpu,syscalls", "--system-wide", "--duration", "0.01", "--json"]
    about = json.loads(said(capsys, *words))
    made = Path(about["path"])
    assert made.parent == tmp_path
    assert made.name.startswith("cpu-syscalls-2")
    assert made.suffix == ".wb"


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
def test_a_real_capture_from_record_to_report(capfd, tmp_path):
    out = tmp_path / "k.wb"
    dd = ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=2000"]
    about = json.loads(said(capfd, "record", "syscalls", "--json", "-o", out, "--", *dd))
    assert about["exit_code"] == 0
    query = "select count(*) as n from syscalls where cast(name as varchar) = 'read'"
    assert json.loads(said(capfd, "sql", out, query, "--json"))["n"] >= 2000
    assert json.loads(said(capfd, "info", out, "--json"))["tables"] == about["tables"]
    for format in ("csv", "parquet", "arrow"):
        assert Path(said(capfd, "export", out, "--format", format).strip()).stat().st_size > 2000
    assert "dd" in Path(said(capfd, "report", out).strip()).read_text()
    assert json.loads(said(capfd, "doctor", "--json"))["ok"]


@pytest.mark.parametrize("content", [b"", b"\0" * 1000, b"P1;T1;a:b:1 99999999999999999999\n"])
def test_convert_says_what_is_wrong_with_a_file(content, capsys, tmp_path):
    place = tmp_path / "a"
    place.write_bytes(content)
    for target in ("a.wb", "a.folded"):
        assert main(["convert", str(place), str(tmp_path / target)]) == 1
        told = capsys.readouterr()
        assert told.out == ""
        assert told.err.startswith(f"workbench: {place} cannot be imported.")
        assert "Traceback" not in told.err
    assert list(tmp_path.iterdir()) == [place]


def test_info_of_an_imported_profile(capsys, tmp_path):
    (tmp_path / "a.folded").write_text("main;work 5\n")
    load_profile(tmp_path / "a.folded", tmp_path / "a.wb")
    text = said(capsys, "info", tmp_path / "a.wb")
    assert "captured   at a time that is not known\n" in text
    assert "imported   a.folded (folded)\n" in text
    assert "None" not in text
    assert "target" not in text
