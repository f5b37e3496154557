"""`workbench probe`, as a process."""

import json
import subprocess
import sys

import pytest

import workbench as wb
from workbench.cli import build_parser

WORKBENCH = [sys.executable, "-m", "workbench"]


def run(*words, **options):
    return subprocess.run([*WORKBENCH, *words], capture_output=True, text=True, **options)


def test_options():
    words = ["probe", "rawtp:a", "rawtp:b", "--field", "x", "--field", "y=str(z)", "--count-by",
             "comm", "--pid", "1", "--latency"]  # fmt: skip
    args = build_parser().parse_args(words)
    assert args.probes == ["rawtp:a", "rawtp:b"]
    assert (args.field, args.count_by, args.pid, args.latency) == (
        ["x", "y=str(z)"],
        ["comm"],
        1,
        True,
    )
    with pytest.raises(SystemExit):
        build_parser().parse_args(["probe"])


def test_mistakes_are_told():
    done = run("probe", "nope:x", "--pid", "1")
    assert done.returncode == 1
    assert done.stderr.startswith("workbench: There is no kind of probe 'nope'.")
    assert "no target" in run("probe", "rawtp:sched_switch").stderr


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
def test_a_table_is_printed():
    words = ["probe", "rawtp:sched_process_exec", "--name", "execs", "--quiet"]
    fields = ["--field", "path=str(bprm.filename)", "--filter", "str(bprm.filename) == '/bin/true'"]
    done = run(*words, *fields, "--json", "--", "sh", "-c", "/bin/true; exit 3")
    assert done.returncode == 3
    (row,) = (json.loads(line) for line in done.stdout.splitlines())
    assert row["path"] == "/bin/true"
    groups = ["--count-by", "path=str(bprm.filename)"]
    counted = run(*words, *groups, "--", "sh", "-c", "/bin/true; /bin/true; exit 0")
    assert counted.returncode == 0
    assert counted.stdout.startswith("execs: rawtp:sched_process_exec")
    assert "/bin/true" in counted.stdout


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
def test_a_session_is_kept(tmp_path):
    path = tmp_path / "s.wb"
    done = run("probe", "rawtp:sched_process_exec", "--name", "execs", "-o", path, "--quiet", "--",
               "sh", "-c", "/bin/true; exit 0")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "execs" in done.stderr
    assert wb.open(path)["execs"].num_rows == 2
