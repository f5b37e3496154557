"""The distribution's BCC, found from here; PyPI's package of that name, told apart."""

import subprocess
import sys
from pathlib import Path

import pytest

from workbench.errors import UnsupportedKernelError
from workbench.probe.bcc import finder

ROOT = Path(__file__).parents[3]
INSTALLED = pytest.mark.skipif(
    finder.distribution_folder() is None, reason="python3-bpfcc is not installed"
)


def run(code, path=()):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(map(str, [*path, ROOT])), "PATH": "/usr/bin:/bin"},
    )


@INSTALLED
def test_only_bcc_becomes_visible():
    code = """
import importlib.util
from workbench.probe.bcc.finder import load
before = [bool(importlib.util.find_spec(n)) for n in ("apt", "netaddr", "debian", "yaml")]
bcc = load()
assert load() is bcc
import bcc.table, bcc.usdt
print(bcc.BPF.__name__, bcc.__file__, bcc.table.__file__)
after = [bool(importlib.util.find_spec(n)) for n in ("apt", "netaddr", "debian", "yaml")]
assert before == after, (before, after)
"""
    done = run(code)
    assert done.returncode == 0, done.stderr
    name, *files = done.stdout.split()
    assert name == "BPF"
    folder = str(finder.distribution_folder() / "bcc")
    assert [file.startswith(folder) for file in files] == [True, True]


LATTICE = {"__init__.py": "def bcc(): pass\n"}  # what PyPI's package is: no BPF in it


@pytest.fixture
def lattice(tmp_path):
    (tmp_path / "bcc").mkdir()
    for name, text in LATTICE.items():
        (tmp_path / "bcc" / name).write_text(text)
    return tmp_path


@INSTALLED
def test_pypis_package_does_not_hide_it(lattice):
    code = "from workbench.probe.bcc.finder import load; print(load().BPF.__name__)"
    done = run(code, [lattice])
    assert done.stdout == "BPF\n", done.stderr


def test_pypis_package_alone_is_told_apart(lattice):
    code = """
from workbench.probe.bcc import finder
finder.distribution_folder = lambda: None
try:
    finder.load()
except Exception as error:
    print(type(error).__name__, error)
"""
    done = run(code, [lattice])
    assert done.stdout.startswith("UnsupportedKernelError BCC is not installed."), done.stderr
    assert "not the BPF compiler collection" in done.stdout
    assert "python3-bpfcc" in done.stdout


@INSTALLED
def test_pypis_package_imported_before(lattice):
    code = """
import bcc
from workbench.probe.bcc import finder
try:
    finder.load()
except Exception as error:
    print(error)
"""
    done = run(code, [lattice])
    assert done.stdout.startswith("Another package named bcc was imported before."), done.stderr


def test_folders_without_it(tmp_path, lattice):
    assert finder.distribution_folder([tmp_path / "none", lattice]) is None
    right = tmp_path / "right" / "bcc"
    right.mkdir(parents=True)
    for name in ("libbcc.py", "table.py"):
        (right / name).touch()
    assert finder.distribution_folder([lattice, tmp_path / "right"]) == tmp_path / "right"
    assert finder.Finder(tmp_path / "right").find_spec("bcc.table", ["x"]) is None
    assert finder.Finder(tmp_path / "right").find_spec("apt") is None


def test_nothing_at_all(monkeypatch):
    monkeypatch.setattr(finder, "distribution_folder", lambda: None)
    monkeypatch.setattr(finder.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "bcc", None)
    finder.load.cache_clear()
    with pytest.raises(UnsupportedKernelError, match="not installed") as caught:
        finder.load()
    assert "no folder" in caught.value.why
    finder.load.cache_clear()
