"""`python -m workbench.demo`: live, from the recorded session, and when something is missing."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import nbformat
import polars as pl
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from synthetic import make_session

import workbench as wb
from workbench import demo
from workbench.demo import __main__ as program
from workbench.errors import NotPermittedError, SessionNotFoundError, TargetError
from workbench.probe import support

DATASETS = (
    *(demo.DATASET, demo.ORDERS_DATASET),
    *(demo.SHOP_DATASET, demo.SHOP_MEMORY_DATASET),
)
NAMES = {"slow-api.wb", "report.html", "tiny.ipynb", "tiny.html"}


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A small notebook and a small dataset instead of the real ones."""
    path = tmp_path / "tiny.ipynb"
    cells = [new_code_cell("from workbench import demo\nprint(demo.why_not_live() or 'live')")]
    nbformat.write(new_notebook(cells=cells), path)
    monkeypatch.setattr(program, "NOTEBOOK", path)
    monkeypatch.setattr(demo, "DATASET", make_session(tmp_path / "recorded.wb", rows=500))
    monkeypatch.setenv("WORKBENCH_DEMO", "dataset")
    return tmp_path / "out"


def files(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def said_by_notebook(folder) -> str:
    return nbformat.read(folder / "tiny.ipynb", as_version=4).cells[0].outputs[0].text


def test_recorded_session_stands_in(tiny, capsys):
    assert program.main(["--output", str(tiny)]) == 0
    said = capsys.readouterr().out
    assert "WORKBENCH_DEMO=dataset asks for" in said
    assert files(tiny) >= NAMES
    assert said.count("\n") < 25
    for name in NAMES:
        assert name in said
    assert "system calls  500 of" in said
    assert "dataset" in said_by_notebook(tiny)


def test_refusal_of_the_kernel_is_told(tiny, monkeypatch, capsys):
    def refused(*_args, **_kwargs):
        raise NotPermittedError("bpf(2) is forbidden here.")

    monkeypatch.setattr(demo, "why_not_live", lambda: "")
    monkeypatch.setattr(program, "capture", refused)
    session = program.capture_or_recorded(tiny / "slow-api.wb", 1.0)
    assert session.kinds == ("syscalls", "cpu")
    assert "bpf(2) is forbidden here." in capsys.readouterr().out


def test_missing_dataset_is_an_error(tiny, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(demo, "DATASET", tmp_path / "none.wb")
    assert program.main(["--output", str(tiny)]) == 1
    assert "demo: There is no " in capsys.readouterr().err
    with pytest.raises(SessionNotFoundError):
        program.recorded(tiny / "x.wb")


def test_reasons(monkeypatch, tmp_path):
    monkeypatch.delenv("WORKBENCH_DEMO", raising=False)
    monkeypatch.setattr(demo, "BINARY", tmp_path / "none")
    assert "not compiled" in demo.why_not_live()
    monkeypatch.setattr(demo, "BINARY", demo.__file__)
    monkeypatch.setattr(demo.os, "access", lambda *_: True)
    checks = [
        support.Check("BTF", True, "there"),
        support.Check("tracefs", False, "not mounted", "Mount it.", required=False),
        support.Check("privileges", False, "uid 1000", "Run as root."),
    ]
    told = SimpleNamespace(ok=False, checks=checks)
    monkeypatch.setattr(demo, "doctor", lambda: told)
    assert demo.why_not_live().splitlines() == [
        "eBPF is not permitted here:",
        "  privileges: uid 1000. Run as root.",
    ]
    told.ok = True
    assert demo.why_not_live() == ""


def test_workload_that_dies_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(wb, "capture", lambda *_a, **_k: None)
    monkeypatch.setattr(demo, "command", lambda *_a, **_k: ["true"])
    with pytest.raises(TargetError, match="ended early"):
        program.capture(tmp_path / "s.wb", 1.0, tmp_path / "requests.json")


def test_dataset_that_is_too_large_is_an_error(monkeypatch, tmp_path, capsys):
    path = tmp_path / "s.wb"
    path.write_bytes(b"12345")
    monkeypatch.setattr(wb, "capture", lambda *_a, **_k: SimpleNamespace(path=path))
    monkeypatch.setattr(demo, "program", lambda *_a: [__file__])
    monkeypatch.setattr(demo, "command", lambda *_a: [__file__, "demo"])
    monkeypatch.setattr(program, "DATASET_MAX_BYTES", 4)
    assert program.main(["--dataset", str(path)]) == 1
    assert "5 bytes, more than 4" in capsys.readouterr().err


@pytest.mark.kernel
def test_live(tiny, monkeypatch, capfd, nothing_left):
    monkeypatch.setenv("WORKBENCH_DEMO", "")
    assert program.main(["--output", str(tiny), "--seconds", "1"]) == 0
    said = capfd.readouterr().out
    assert "Capturing cpu and syscalls" in said
    assert said_by_notebook(tiny).strip() == "live"
    session = wb.open(tiny / "slow-api.wb")
    commands = session.sql("select distinct comm from syscalls")["comm"].to_list()
    assert {"slow-api", "api-client", "api-worker-0"} <= set(commands)
    counted = session.sql(
        "select count(*) from syscalls "
        "where comm = 'api-client' and name = 'sendto' and ret > 0"
    ).item()  # fmt: skip
    told = json.loads((tiny / "requests.json").read_text())
    assert counted == told["requests"]


@pytest.mark.kernel
def test_dataset_names_no_path_of_this_checkout(tmp_path):
    path = tmp_path / demo.DATASET.name
    assert program.main(["--dataset", str(path), "--seconds", "0.5"]) == 0
    for dataset in DATASETS:
        assert str(program.ROOT) not in texts_of(wb.open(path.with_name(dataset.name)))


@pytest.mark.parametrize("path", DATASETS, ids=lambda path: path.stem)
def test_kept_datasets_name_no_home_and_no_checkout(path):
    texts = texts_of(wb.open(path))
    assert not re.search(r"/root/|/home/|/work/|/Users/", texts)


def texts_of(session) -> str:
    texts = pl.selectors.string() | pl.selectors.categorical()
    tables = [session[name].polars().select(texts) for name in session.tables]
    return "".join([str(session.manifest.to_json()), *(t.unique().write_csv() for t in tables)])
