"""Which programs are started with the library that samples allocations, and how."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from programs import compiled

from workbench.recorder import preload
from workbench.recorder.preload import LIBRARY, inherited, obstacle, prepared, variables
from workbench.recorder.spec import Spec, Target

NOTHING = "int main(void) { return 0; }"
ALLOCATOR = """
#include <stddef.h>
static char bytes[1 << 16];
static size_t used;
void *malloc(size_t n) { used += n + 15 & ~15UL; return bytes + used; }
void free(void *p) { (void)p; }
"""


def spec(*command, **parameters):
    return Spec(
        {"memory": parameters}, "", target=Target(pid=1, held=True, command=command)
    ).checked()


def test_programs_of_the_system():
    assert obstacle(sys.executable) == ""
    assert obstacle("sh") == ""


def test_a_script_stands_for_its_interpreter(tmp_path):
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert obstacle(str(script)) == ""
    script.write_text("#!/nonexistent/interpreter\n")
    assert "no program" in obstacle(str(script))


@pytest.mark.parametrize("flags", [("-static",), ("-static-pie", "-fPIE")])
def test_static_programs(tmp_path, flags):
    made = compiled(tmp_path, "static", NOTHING, "gcc", *flags)
    assert "statically" in obstacle(str(made))


def test_another_allocator(tmp_path):
    own = compiled(tmp_path, "own", ALLOCATOR + NOTHING, "gcc", "-fno-builtin")
    assert f"{own} is an allocator" in obstacle(str(own))
    library = compiled(
        tmp_path, "liballoc.so", ALLOCATOR, "gcc", "-shared", "-fPIC", "-fno-builtin"
    )
    user = compiled(
        tmp_path,
        "user",
        NOTHING,
        "gcc",
        "-Wl,--no-as-needed",
        str(library),
        f"-Wl,-rpath,{tmp_path}",
    )
    assert "liballoc.so is an allocator" in obstacle(str(user))
    assert "is an allocator" in obstacle("sh", [str(library)])
    assert obstacle("sh", [str(LIBRARY)]) == ""  # met in an earlier capture


def test_programs_with_privileges_of_their_own(tmp_path):
    made = compiled(tmp_path, "program", NOTHING, "gcc")
    assert obstacle(str(made)) == ""
    made.chmod(0o4755)
    assert "privileges" in obstacle(str(made))


def test_what_is_no_program(tmp_path):
    (tmp_path / "text").write_text("text")
    (tmp_path / "text").chmod(0o755)
    for path in (tmp_path / "text", tmp_path / "nothing"):
        assert "no program" in obstacle(str(path))


def test_without_the_library(monkeypatch, tmp_path):
    monkeypatch.setattr(preload, "LIBRARY", tmp_path / "none.so")
    assert "was not built" in obstacle("sh")
    asked = spec("sh")
    assert prepared(asked, {})[0].kinds["memory"]["preload"] is False


def test_variables_keep_what_is_preloaded_already():
    assert variables(5, {}) == {"LD_PRELOAD": str(LIBRARY), "WORKBENCH_SAMPLE_BYTES": "5"}
    assert variables(5, {"LD_PRELOAD": "a.so b.so"})["LD_PRELOAD"] == f"{LIBRARY}:a.so b.so"


def test_a_command_is_prepared():
    asked = spec("sh", "-c", "true", sample_bytes=77)
    made, given = prepared(asked, {})
    assert made == asked
    assert given["WORKBENCH_SAMPLE_BYTES"] == "77"


@pytest.mark.parametrize("parameters", [{"preload": False}, {"parts": ("oom",)}])
def test_what_was_not_asked_for(parameters):
    asked = spec("sh", **parameters)
    assert prepared(asked, {}) == (asked, {})


@pytest.mark.parametrize("parameters", [{"allocators": ("/lib/x.so",)}, {}])
def test_obstacles_turn_it_off(tmp_path, parameters):
    made = compiled(tmp_path, "static", NOTHING, "gcc", "-static")
    asked = spec("sh" if parameters else str(made), **parameters)
    found, given = prepared(asked, {})
    assert given == {}
    assert found.kinds["memory"] == {**asked.kinds["memory"], "preload": False}
    assert found.target == asked.target


def test_other_kinds_have_nothing_preloaded():
    asked = Spec({"cpu": {}}, "", target=Target(pid=1, held=True, command=("sh",))).checked()
    assert prepared(asked, {}) == (asked, {})


def test_who_has_inherited_it(tmp_path):
    made = compiled(tmp_path, "static", NOTHING.replace("return 0", "for (;;)"), "gcc", "-static")
    given = {**os.environ, **variables(0, {})}
    cases = [
        (["sleep", "60"], given, True),
        (["sleep", "60"], os.environ, False),
        (["sleep", "60"], {**given, "LD_PRELOAD": "other.so"}, False),
        ([str(made)], given, False),
    ]
    for words, environment, expected in cases:
        with subprocess.Popen(words, env=environment) as process:
            begun = Path(f"/proc/{process.pid}/environ")
            until = time.monotonic() + 20
            while not begun.read_bytes():  # execve() is under way
                assert time.monotonic() < until
            assert inherited(process.pid) is expected
            process.kill()
    assert not inherited(process.pid)
