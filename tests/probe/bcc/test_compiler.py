"""A process that compiles: what it hands over, and that it never stays."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from compile_bpf import bpf_descriptors

from workbench.errors import LoadError
from workbench.probe.bcc import compiler, finder, headers
from workbench.probe.bcc.attach import KPROBE
from workbench.probe.bcc.compiler import Compiler
from workbench.probe.open_map import OpenMap

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.skipif(
        finder.distribution_folder() is None, reason="python3-bpfcc is not installed"
    ),
]
PROGRAM = "BPF_ARRAY(a, u64, 4);\nint f(void *ctx) { return 0; }\n"


def _compile(made, text=PROGRAM):
    found = headers.find()
    where = "" if found.installed else str(found.path)
    return made.compile(text, ["-Wno-everything", *found.prepare(text)], where)


def test_what_it_hands_over_stays():
    made = Compiler()
    found = _compile(made)
    fd, number = made.load("f", KPROBE)
    made.close()
    made.close()
    try:
        assert number == 0
        assert found.functions == ["f"]
        (table,) = found.tables
        with OpenMap.of(table.fd) as raw:
            assert (raw.name, raw.max_entries) == ("a", 4)
    finally:
        os.close(fd)
    assert bpf_descriptors() == []


def test_what_is_printed_is_that_of_the_last_request():
    made = Compiler()
    assert _compile(made, "int f(void *ctx) { return x; }") is None
    assert "identifier 'x'" in made.printed
    assert _compile(made, "int f(void *ctx) { return y; }") is None
    assert "identifier 'y'" in made.printed
    assert "identifier 'x'" not in made.printed
    made.close()


def test_llvm_ends_its_process_only():
    made = Compiler()
    text = "BPF_PERF_OUTPUT(e);\nint f(void *ctx) {\n  char big[600] = {};\n"
    text += "  e.perf_submit(ctx, &big, sizeof(big));\n  return 0;\n}\n"
    assert _compile(made, text) is None
    assert "stack limit of 512 bytes" in made.printed
    assert made.ended_by == 0
    made.close()


def test_it_is_killed():
    made = Compiler()
    (table,) = _compile(made).tables
    os.close(table.fd)
    made._process.kill()
    assert made.load("f", KPROBE) == (-1, 0)
    assert made.ended_by == signal.SIGKILL
    made.close()


def test_it_does_not_start(monkeypatch):
    monkeypatch.setattr(compiler, "_CHILD", "workbench.no_such_module")
    made = Compiler()
    with pytest.raises(LoadError, match="does not start") as caught:
        _compile(made)
    assert "no_such_module" in caught.value.why
    made.close()


ABANDONED = """
import os, sys
from workbench.probe.bcc.compiler import Compiler
from workbench.probe.bcc import headers
found = headers.find()
made = Compiler()
assert made.compile("BPF_ARRAY(a, u64, 4);", [], "" if found.installed else str(found.path))
print(made._process.pid, os.fork(), flush=True)
os.read(0, 1)
"""


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_ends_when_the_process_that_asked_is_killed():
    """Though a process that that one forked still holds the channel."""
    with subprocess.Popen(
        [sys.executable, "-c", ABANDONED], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as asking:
        words = asking.stdout.readline().split() + asking.stdout.readline().split()
        compiling, forked = int(words[0]), max(int(words[1]), int(words[3]))
        assert _runs(compiling)
        asking.kill()
        deadline = time.monotonic() + 60
        while _runs(compiling) and time.monotonic() < deadline:
            time.sleep(0.05)
        still = _runs(compiling)
        os.kill(forked, signal.SIGKILL)
    assert not still
