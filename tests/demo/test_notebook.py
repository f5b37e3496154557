"""Running a notebook and turning it into a page that needs no network."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from workbench.demo import notebook
from workbench.errors import ExportError


def written(path: Path, *cells: str) -> Path:
    content = new_notebook(cells=[new_markdown_cell("# T $x$"), *map(new_code_cell, cells)])
    nbformat.write(content, path)
    return path


def test_notebook_is_run_and_becomes_a_page(tmp_path):
    source = written(tmp_path / "n.ipynb", "import os; print(os.getcwd())", "6 * 7")
    before = source.read_text()
    (tmp_path / "out").mkdir()
    executed = notebook.execute(source, tmp_path / "out" / "n.ipynb")
    assert source.read_text() == before
    _, first, second = nbformat.read(executed, as_version=4).cells
    assert first.outputs[0].text.strip() == str(tmp_path / "out")
    assert second.outputs[0].data["text/plain"] == "42"

    page = notebook.to_html(executed, tmp_path / "n.html").read_text()
    assert "42" in page
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)
    assert not re.search(r"import\b[^\n]*https?://", page)


def test_failing_cell_is_an_error_and_the_rest_is_kept(tmp_path):
    source = written(tmp_path / "n.ipynb", "print('before')", "1 / 0", "print('after')")
    output = tmp_path / "executed.ipynb"
    with pytest.raises(ExportError, match=r"(?s)cell of n.ipynb failed.*ZeroDivisionError"):
        notebook.execute(source, output)
    cells = nbformat.read(output, as_version=4).cells
    assert cells[1].outputs[0].text == "before\n"
    assert cells[3].outputs == []


@pytest.mark.parametrize("package", ["nbclient", "nbconvert"])
def test_missing_packages_are_named(monkeypatch, tmp_path, package):
    monkeypatch.setitem(sys.modules, package, None)
    call = notebook.execute if package == "nbclient" else notebook.to_html
    with pytest.raises(ExportError, match="notebook"):
        call(written(tmp_path / "n.ipynb"), tmp_path / "o")


def test_scripts_of_the_page_itself_stay():
    page = '<script src="https://cdn.x/y.js"></script><script>draw("https://cdn.x")</script>'
    page = page.replace('draw("https://cdn.x")', "draw()")
    assert notebook.without_remote_scripts(page) == "<script>draw()</script>"
