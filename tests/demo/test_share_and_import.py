"""The fourth notebook: it needs no privilege, and what its text says is true."""

from __future__ import annotations

import re

import nbformat

import workbench as wb
from workbench import demo
from workbench.demo import notebook

NOTEBOOK = demo.DATASET.parents[1] / "notebooks" / "04-share-and-import.ipynb"


def test_notebook_is_kept_without_outputs_and_runs_anywhere(monkeypatch, tmp_path):
    kept = nbformat.read(NOTEBOOK, as_version=4).cells
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in kept)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    executed = notebook.execute(NOTEBOOK, tmp_path / "n.ipynb")
    cells = [c for c in nbformat.read(executed, as_version=4).cells if c.cell_type == "code"]
    assert all(cell.outputs for cell in cells[1:])
    assert executed.stat().st_size < 2_000_000
    texts = "".join(o.get("text", "") for cell in cells for o in cell.outputs)
    count = int(re.search(r"deduplicate: (\d+) samples, read again \1\n", texts)[1])
    assert count > 0
    assert re.search(r"the same in all \d+ functions: True", texts)

    # A page without a kernel has no panel, but says what does the same.
    page = notebook.to_html(executed, tmp_path / "n.html").read_text()
    assert "orders.wb --window=1.0:3.0 --where=tid=" in page
    assert "-o orders.speedscope.json" in page

    # What it left for others is whole, and what it imported shows the fault, too.
    (folder,) = tmp_path.glob("workbench-share-*")
    assert {path.name for path in folder.iterdir()} == {
        "orders.pb.gz", "orders.speedscope.json", "orders.pftrace", "orders.otlp.jsonl",
        "theirs.folded", "mended.folded",
    }  # fmt: skip
    functions = wb.load(folder / "theirs.folded").hotspots().functions
    own = functions.sort("self", descending=True)["name"]
    assert own[0] == "deduplicate"
