"""`wb.probe`: what becomes of its arguments, with a fake recorder."""

import json
import subprocess
import sys

import pytest

import workbench as wb
from workbench.errors import ParameterError


def spec_of(place):
    return json.loads((place / "spec.json").read_text())


def test_names_are_one():
    code = (
        "import workbench as wb; assert callable(wb.probe); import workbench.probe.maps; "
        "assert callable(wb.probe); from workbench import probe; assert callable(probe); "
        "assert probe.maps"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_probe_becomes_a_kind(place):
    made = wb.probe(
        "uprobe:libc:malloc", fields={"size": "arg0"}, filter="arg0 > 1", command=["true"],
        wait=False, ring_bytes=8192,
    )  # fmt: skip
    assert made.spec.kinds == {
        "malloc": {
            **{"probe": "uprobe:libc:malloc", "fields": ("size=arg0",), "filter": "arg0 > 1"},
            **{"aggregate": (), "by": (), "latency": False, "stacks": False},
            **{"string_size": 128, "max_groups": 4096},
        }
    }
    assert made.spec.ring_bytes == 8192


def test_several_probes(place):
    made = wb.probe(["rawtp:a", "rawtp:a", "rawtp:cpu"], by="pid", pid=1)
    assert list(made.spec.kinds) == ["a", "a_2", "cpu_2"]
    assert made.spec.kinds["a_2"]["by"] == ("pid",)
    named = {"one": "rawtp:a", "two": {"probe": "rawtp:b", "fields": ["x"]}}
    made = wb.probe(named, string_size=16, pid=1)
    assert made.spec.kinds["one"]["string_size"] == 16
    assert made.spec.kinds["two"]["fields"] == ("x",)
    assert wb.probe("rawtp:a", name="mine", pid=1).spec.kinds["mine"]["probe"] == "rawtp:a"
    both = wb.capture({"cpu": {}, "mine": {"probe": "rawtp:a"}}, pid=1, hz=50)
    assert both.spec.kinds["cpu"]["hz"] == 50
    assert both.spec.kinds["mine"]["max_groups"] == 4096


@pytest.mark.parametrize(
    ("point", "options", "words"),
    [
        ("nope:x", {}, "no kind of probe"),
        ([], {}, "no probe"),
        (3, {}, "no probe"),
        (["rawtp:a", 3], {}, "no probe"),
        (["rawtp:a", "rawtp:b"], {"name": "x"}, "One name"),
        ("rawtp:a", {"name": "cpu"}, "cannot be named"),
        ("rawtp:a", {"name": "processes"}, "cannot be named"),
        ("rawtp:a", {"name": "../x"}, "cannot be named"),
        ("rawtp:a", {"fields": 3}, "fields cannot be"),
        ("rawtp:a", {"filter": 3}, "filter must be str"),
        ("rawtp:a", {"string_size": 1}, "string_size must be"),
        ("rawtp:a", {"max_groups": 0}, "max_groups must be"),
        ("rawtp:a", {"by": "pid", "fields": "x"}, "Groups have no fields"),
        ("rawtp:a", {"hz": 3}, "has a parameter hz"),
        ({"x": {"probe": "rawtp:a", "nope": 1}}, {}, "no parameter nope"),
        ({"x": {}}, {}, "There is no capture kind"),
    ],
)
def test_bad_arguments_are_refused_before_anything_runs(place, point, options, words):
    with pytest.raises(wb.WorkbenchError) as caught:
        wb.probe(point, pid=1, **options)
    assert words in str(caught.value)
    assert not (place / "spec.json").exists()


def test_a_target_is_needed(place):
    with pytest.raises(ParameterError, match="no target"):
        wb.probe("rawtp:a")
