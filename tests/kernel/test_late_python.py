"""A program that loads Python long after its start."""

import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest
from programs import compiled

from workbench import kinds
from workbench.pystacks import processes as module
from workbench.recorder.processes import ProcessTable
from workbench.recorder.source import RING, Setup
from workbench.recorder.spec import Target
from workbench.recorder.tables import make_source
from workbench.recorder.targets import ACTIVE, filter_values

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]
LIBRARY = Path(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("LDLIBRARY"))
SOURCE = """
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
int main(int count, char **arguments)
{
    void (*initialize)(int), (*run)(const char *);
    void *library;

    if (getchar() < 0 || !(library = dlopen(arguments[1], RTLD_NOW | RTLD_GLOBAL)))
        return 1;
    initialize = dlsym(library, "Py_InitializeEx");
    run = dlsym(library, "PyRun_SimpleString");
    initialize(0);
    run("def late():\\n  while True: sum(range(1000))\\nlate()");
    return 0;
}
"""
WAIT_S = 30


@pytest.mark.skipif(LIBRARY.suffix != ".so" or not LIBRARY.exists(), reason="no shared libpython")
def test_its_frames_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "DELAYS", (0.0,))  # that it looks again after a while is no help
    program = compiled(tmp_path, "embeds", SOURCE, "gcc", "-O2", "-rdynamic")
    environment = {**os.environ, "PYTHONHOME": sys.base_prefix}
    with subprocess.Popen([program, LIBRARY], stdin=subprocess.PIPE, env=environment) as process:
        kind = kinds.find("cpu")
        setup = Setup(filter_values(Target(pid=process.pid)), RING, 0)
        source = make_source(kind, setup, kind.check({"hz": 499}), "x86_64", 1 << 18)
        try:
            source.object.maps["wb_targets"].update(process.pid.to_bytes(4, "little"), ACTIVE)
            source.process_started(process.pid)
            source.start()
            python = source._worker.python
            assert python.wait(WAIT_S)
            assert python._processes.of(process.pid) is None
            assert not python._processes._waiting
            process.stdin.write(b"go")
            process.stdin.close()
            assert "late" in until_python(source)
        finally:
            process.kill()
            source.object.detach()
            source.close()


def until_python(source):
    """Read samples until there are frames of Python; return their functions."""
    deadline, table, functions = time.monotonic() + WAIT_S, ProcessTable(0), set()
    while not functions & {"late"}:
        assert time.monotonic() < deadline, functions
        for name, batch in source.batches(table, 0):
            if name == "frames":
                kinds_ = batch["kind"].cast("string").to_pylist()
                pairs = zip(batch["function"].to_pylist(), kinds_, strict=True)
                functions |= {function for function, kind in pairs if kind == "python"}
        time.sleep(0.02)
    return functions
