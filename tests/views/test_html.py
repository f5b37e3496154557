from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import StorageError
from workbench.views import html
from workbench.views.tables import banner, cards, table

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&<!--"
MODULES = ("flamegraph.js", "syscalls.js")


@given(st.text())
def test_script_json_can_close_nothing(text: str) -> None:
    found = html.script_json({"key": text})
    assert not set(found) & set("<>&")
    assert found.isascii()
    assert json.loads(found) == {"key": text}


@pytest.mark.parametrize("name", MODULES)
def test_bundle_is_one_module_without_imports(name: str) -> None:
    source = html.bundle(name)
    assert "\nimport {" not in source
    assert source.count("export ") == 1
    assert "export default { render };" in source
    assert source.count("function make(") == 1
    assert "innerHTML" not in source
    assert "http:" not in source
    assert "https:" not in source


@pytest.mark.parametrize("name", MODULES)
def test_bundle_is_valid_javascript(name: str, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here; the browser tests run the same code")
    path = tmp_path / "module.mjs"
    path.write_text(html.bundle(name))
    subprocess.run([node, "--check", str(path)], check=True)


def test_static_parts_are_short() -> None:
    for path in html.STATIC.iterdir():
        assert len(path.read_text().splitlines()) < 500, path.name


def test_fragment_holds_no_raw_text() -> None:
    text = html.fragment("flamegraph.js", {"title": HOSTILE}, {"payload": b"\x00<"}, "fallback")
    assert HOSTILE not in text
    assert text.count("</script>") == 1
    assert "<img" not in text


def test_page_forbids_every_request() -> None:
    text = html.page(HOSTILE, "body")
    assert "default-src &#x27;none&#x27;" in text
    assert "<img" not in text


def test_tables_escape_everything() -> None:
    for text in (
        table([HOSTILE], [[HOSTILE]], caption=HOSTILE),
        banner(HOSTILE),
        cards([(HOSTILE, HOSTILE, HOSTILE)]),
    ):
        assert "<img" not in text
        assert "<!--" not in text
    assert banner("") == ""


def test_pack_is_reproducible() -> None:
    assert html.pack(b"abc") == html.pack(b"abc")
    assert gzip.decompress(html.pack(b"abc")) == b"abc"


def test_save_replaces_whole_files_and_reports_errors(tmp_path: Path) -> None:
    path = tmp_path / "x.html"
    path.write_text("old")
    assert html.save("new", path) == path
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.html"]
    with pytest.raises(StorageError, match="missing"):
        html.save("x", tmp_path / "missing" / "x.html")


def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(StorageError, match="no place for a page"):
        html.save("<p>", tmp_path / "fifo")
    assert (tmp_path / "fifo").is_fifo()
