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
def test_a_table_is_printed(tmp_path):
    words = [
        "probe",
        "tracepoint:syscalls:sys_enter_openat",
        "--quiet",
        "--filter",
        "flags & 0o100",
    ]
    target = tmp_path / "made here"
    done = run(*words, "--json", "--", "sh", "-c", f"> '{target}'; exit 3")
    assert done.returncode == 3
    (row,) = (json.loads(line) for line in done.stdout.splitlines())
    assert row["filename"] == str(target)
    counted = run(*words, "--count-by", "filename", "--", "sh", "-c", f"> '{target}'; > '{target}'")
    assert counted.returncode == 0
    assert "made here" in counted.stdout
    assert counted.stdout.startswith("sys_enter_openat: tracepoint:syscalls:sys_enter_openat")


@pytest.mark.kernel
@pytest.mark.usefixtures("nothing_left")
def test_a_session_is_kept(tmp_path):
    path = tmp_path / "s.wb"
    done = run("probe", "rawtp:sched_process_exec", "--name", "execs", "-o", path, "--quiet", "--",
               "sh", "-c", "/bin/true; exit 0")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "execs" in done.stderr
    assert wb.open(path)["execs"].num_rows == 2
