"""The first notebook: runs from the recorded session, and its text says what is seen there."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

import workbench as wb
from workbench import demo
from workbench.demo import notebook, summary
from workbench.demo.__main__ import NOTEBOOK
from workbench.frames import syscalls
from workbench.frames.flame import flame_tree


def test_notebook_is_kept_without_outputs():
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def test_runs_from_the_dataset(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBENCH_DEMO", "dataset")
    executed = notebook.execute(NOTEBOOK, tmp_path / "n.ipynb")
    cells = [c for c in nbformat.read(executed, as_version=4).cells if c.cell_type == "code"]
    assert all(cell.outputs for cell in cells[1:])
    texts = "".join(out.get("text", "") for cell in cells for out in cell.outputs)
    assert "WORKBENCH_DEMO=dataset" in texts
    assert executed.stat().st_size < 5_000_000
    page = notebook.to_html(executed, tmp_path / "n.html").read_text()
    assert "build_report" in page


@pytest.fixture(scope="module")
def dataset() -> wb.Session:
    return wb.open(demo.DATASET, verify=True)


def test_dataset_is_small_whole_and_of_this_workload_alone(dataset):
    assert demo.DATASET.stat().st_size < 3_000_000
    assert dataset.state == "complete"
    assert dataset.losses["dropped"].sum() == 0
    comms = set(dataset.sql("select distinct comm from syscalls")["comm"].to_list())
    assert comms == {"slow-api", "api-client", *summary.WORKERS}
    exes = {Path(exe).name for exe in dataset["processes"].polars()["exe"].to_list() if exe}
    assert exes == {"slow-api"}


def test_dataset_shows_the_three_faults(dataset):
    """What the notebook's text claims."""
    paths = dict(summary.inclusive(flame_tree(dataset), "route"))
    assert paths["build_report"] > 0.7
    assert summary.hottest(flame_tree(dataset))[0][0] == "hash_rows"

    failed = {row[:2]: row[2] for row in syscalls.errors(dataset)["name", "error", "calls"].rows()}
    assert failed["openat", "ENOENT"] > 5_000

    waits = dataset.where(comm=summary.WORKERS, name=["clock_nanosleep", "futex"])
    longest = {row[0]: row[1] for row in syscalls.summary(waits)["name", "max"].rows()}
    assert longest["clock_nanosleep"].total_seconds() >= 0.012
    assert longest["futex"].total_seconds() >= 0.005
