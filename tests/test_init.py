"""The front door: its names, and that opening it takes nothing heavy along."""

import subprocess
import sys

import pytest

import workbench as wb
from workbench import client, diagnosis, session

HEAVY = ("polars", "pandas", "pyarrow", "bokeh", "ipywidgets", "IPython", "anywidget", "rich")


def test_exports_equal_all():
    assert dir(wb) == sorted(wb.__all__)
    star = {}
    exec("from workbench import *", star)
    assert set(wb.__all__) == set(star) - {"__builtins__"}


def test_names_are_what_they_say():
    assert wb.capture is client.capture
    assert wb.doctor is diagnosis.doctor
    assert wb.open is session.open_session
    assert wb.Session is session.Session
    assert wb.__version__.count(".") == 2


def test_kinds_is_a_package_and_a_function():
    assert wb.kinds().columns[0] == "kind"
    assert wb.kinds.find("cpu").name == "cpu"


def test_what_is_not_there():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        wb.nothing  # noqa: B018


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


@pytest.mark.parametrize(
    "code", ["import workbench", "import workbench as wb; wb.kinds.find('cpu')"]
)
def test_import_takes_no_heavy_library_along(code):
    loaded = set(run(f"{code}\nimport sys; print(*sys.modules)").stdout.split())
    assert "workbench" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_each_lazy_name_works_first():
    for name in wb.__all__:
        run(f"import workbench; assert workbench.{name}; dir(workbench)")


def test_kinds_can_be_called_first():
    assert "syscalls" in run("import workbench as wb; print(wb.kinds())").stdout
