"""The second workload: what it does, and that its notebook's text is true of its dataset."""

import json
import subprocess
from pathlib import Path

import nbformat
import pytest

import workbench as wb
from workbench import demo
from workbench.demo import notebook, orders
from workbench.frames.losses import stack_summary

NOTEBOOK = demo.DATASET.parents[1] / "notebooks" / "02-whole-stacks.ipynb"


def test_job_does_what_it_says():
    rows = orders.parse(orders.make_orders(400))
    assert len(rows) == 500
    assert [row["id"] for row in orders.deduplicate(rows)] == list(range(400))
    assert orders.parse_amount("12.34") == 1234
    assert orders.store(rows) == 97
    done = subprocess.run(demo.orders_command(0.1), check=True, capture_output=True, text=True)
    told = json.loads(done.stdout)
    assert told["orders"] == orders.ORDERS
    assert told["posted"] == 40 * told["rounds"] > 0


def test_notebook_runs_from_the_dataset(monkeypatch, tmp_path):
    kept = nbformat.read(NOTEBOOK, as_version=4).cells
    assert not any(cell.get("outputs") for cell in kept)
    monkeypatch.setenv("WORKBENCH_DEMO", "dataset")
    executed = notebook.execute(NOTEBOOK, tmp_path / "n.ipynb")
    cells = [c for c in nbformat.read(executed, as_version=4).cells if c.cell_type == "code"]
    assert all(cell.outputs for cell in cells[1:])
    assert executed.stat().st_size < 5_000_000
    assert "deduplicate" in notebook.to_html(executed, tmp_path / "n.html").read_text()


@pytest.fixture(scope="module")
def dataset():
    return wb.open(demo.ORDERS_DATASET, verify=True)


def test_dataset_is_small_whole_and_of_this_workload_alone(dataset):
    assert demo.ORDERS_DATASET.stat().st_size < 3_000_000
    assert dataset.state == "complete"
    exes = {Path(exe).name for exe in dataset["processes"].polars()["exe"].to_list() if exe}
    assert exes == {"python3.11"}
    for row in stack_summary(dataset).iter_rows(named=True):
        assert row["incomplete"] <= 0.01 * row["stacks"]


def test_dataset_shows_the_faults(dataset):
    """What the notebook's text claims."""
    spots = dataset.hotspots()
    shares = dict(spots.functions.select("name", "total_share").iter_rows())
    assert shares["deduplicate"] > 0.5
    assert spots.python["name"][0] == "deduplicate"
    waits = dataset.hotspots("offcpu").functions
    off = dict(waits.select("name", "total").iter_rows())
    assert off["Ledger.post"] > 2 * off["Ledger.answer"] > 0
