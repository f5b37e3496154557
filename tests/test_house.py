"""Rules of the house: what every file of the repository keeps to."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAX_LINES = 500
SOURCES = {".py", ".c", ".h", ".js", ".sh", ".md", ".ipynb", ".toml", ".yaml"}
HEAVY = ("polars", "pandas", "pyarrow", "bokeh", "ipywidgets", "IPython", "anywidget", "rich")

# Written in parts, so that this file does not match itself.
FORBIDDEN = {
    "a path of one machine": r"/wo"
    r"rk/(main|shared|contract|\.library)|/ro"
    r"ot/\.|\.py"
    r"env/",
    "a local package folder": r"/op" r"t/(pypi|wheels)|fil" r"e:///(opt|home|tmp|work)",
    "a package index": r"index-" r"url|pypi\.o" r"rg/simple|pythonho" r"sted|artifact" r"ory",
    "a wheel by path": r"@ fil" r"e:",
}
# Modules without a test of their own, and why.
NO_TEST = {
    "workbench/__main__.py": "calls workbench.cli, tested as a process by the tests of the cli",
    "workbench/data/make_syscalls.py": "made syscalls.tsv, whose content is tested",
}


def tracked() -> list[Path]:
    git = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True, check=False
    )
    if git.returncode:
        pytest.skip("not a git checkout")
    return [path for name in git.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def text(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""  # binary: datasets, pictures


def test_there_are_files():
    names = {str(path.relative_to(ROOT)) for path in tracked()}
    assert {"Makefile", "README.md", "pyproject.toml", "workbench/__init__.py"} <= names


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_names(what):
    pattern = re.compile(FORBIDDEN[what])
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in tracked()
        for number, line in enumerate(text(path).splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, "\n".join([f"These lines name {what}:", *found])


def test_files_are_short():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked()
        if path.suffix in SOURCES and (lines := text(path).count("\n")) > MAX_LINES
    }
    assert not long


def modules() -> list[str]:
    # Tracked or not: a new module is to have its test before it is committed.
    return sorted(
        str(path.relative_to(ROOT))
        for path in (ROOT / "workbench").rglob("*.py")
        if not path.name.startswith("_") or path.name == "__main__.py"
    )


def test_modules_have_a_test_of_their_name():
    missing = {}
    for module in modules():
        path = Path(module)
        expected = Path("tests", *path.parent.parts[1:], f"test_{path.stem.strip('_')}.py")
        if module not in NO_TEST and not (ROOT / expected).is_file():
            missing[module] = str(expected)
    assert not missing


def test_modules_say_what_they_are():
    opening = re.compile(r'(#.*\n)*r?"""')
    assert not [each for each in modules() if not opening.match((ROOT / each).read_text())]


def test_import_takes_no_heavy_library_along():
    code = "import sys, workbench; workbench.__all__; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = set(run.stdout.split())
    assert "workbench.errors" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_who_makes_a_capture_needs_no_heavy_library():
    """They are imported beside the recorder's start: it takes longer than they do."""
    code = (
        "import sys, workbench as wb\n"
        "for kind in ('cpu', 'syscalls', 'memory', 'tcp'):\n"
        "    wb.capture(kind, pid=1, wait=False)\n"
        "print(*sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert set(run.stdout.split()).isdisjoint({*HEAVY, "numpy"})


def test_ctypes_stays_in_probe():
    users = {
        path.relative_to(ROOT / "workbench").parts[0]
        for path in (ROOT / "workbench").rglob("*.py")
        if re.search(r"^\s*(import|from) ctypes", path.read_text(), re.MULTILINE)
    }
    assert users <= {"probe", "data"}  # data: the script that made the table, not the package


def test_bpf_programs_say_their_licence():
    programs = sorted((ROOT / "bpf").glob("*.[ch]"))
    assert programs
    for path in programs:
        first = path.read_text().splitlines()[0]
        assert "SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)" in first, path.name


def test_constraints_pin_exactly_and_cover_the_requirements():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    bad = [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", pin)]
    assert not bad

    def normal(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    pinned = {normal(pin.split("==")[0]) for pin in pins}
    assert not pinned & {"torch", "ebpf-workbench"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    names = {normal(re.match(r"[A-Za-z0-9._-]+", each)[0]) for each in wanted}
    assert names <= pinned
