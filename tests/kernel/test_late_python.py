"""A program that loads Python long after its start."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from programs import compiled
from stack_sources import WAIT_S, Recorded

from workbench.pystacks import processes as module

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]
LIBRARY = Path(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("LDLIBRARY"))
SOURCE = """
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>
int main(int count, char **arguments)
{
    void (*initialize)(int), (*run)(const char *);
    void *library;

    alarm(200); /* should nobody end it */
    if (getchar() < 0 || !(library = dlopen(arguments[1], RTLD_NOW | RTLD_GLOBAL)))
        return 1;
    initialize = dlsym(library, "Py_InitializeEx");
    run = dlsym(library, "PyRun_SimpleString");
    initialize(0);
    run("def late():\\n  while True: sum(range(1000))\\nlate()");
    return 0;
}
"""


@pytest.mark.skipif(LIBRARY.suffix != ".so" or not LIBRARY.exists(), reason="no shared libpython")
def test_its_frames_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "DELAYS", (0.0,))  # that it looks again after a while is no help
    program = compiled(tmp_path, "embeds", SOURCE, "gcc", "-O2", "-rdynamic")
    environment = {**os.environ, "PYTHONHOME": sys.base_prefix}
    with subprocess.Popen([program, LIBRARY], stdin=subprocess.PIPE, env=environment) as process:
        recorded = Recorded(process.pid)
        try:
            recorded.source.process_started(process.pid)
            recorded.source.start()
            assert recorded.python.wait(WAIT_S)
            assert recorded.python._processes.of(process.pid) is None
            assert not recorded.python._processes._waiting
            process.stdin.write(b"go")
            process.stdin.close()
            recorded.until_function("late", "python")
        finally:
            process.kill()
            recorded.close()
