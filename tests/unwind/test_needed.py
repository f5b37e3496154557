"""What a program will map, guessed, against what it maps."""

import os
import shutil
import subprocess
import time

import pytest
from programs import compiled

from workbench.unwind import needed
from workbench.unwind.needed import files_of


@pytest.mark.parametrize("name", ["sleep", "/usr/bin/python3"])
def test_what_a_program_maps(name):
    options = ["60"] if name == "sleep" else ["-S", "-E", "-c", "import time; time.sleep(60)"]
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    with subprocess.Popen([name, *options]) as process:
        time.sleep(0.3)
        with open(f"/proc/{process.pid}/maps") as file:
            mapped = {line.split()[5] for line in file if " r-xp " in line and "/" in line}
        process.kill()
    libraries = {path for path in mapped if "lib-dynload" not in path}
    assert libraries <= set(files_of(name))


def test_scripts_stand_for_their_interpreters(tmp_path):
    script, by_name, nested = (tmp_path / name for name in "abc")
    script.write_text("#!/bin/sh -e\n")
    by_name.write_text("#!/usr/bin/env -S sh\n")
    nested.write_text(f"#!{script}\n")
    shell = os.path.realpath(shutil.which("sh"))
    for file in (script, by_name, nested):
        file.chmod(0o755)
        assert files_of(str(file))[0] == shell
    script.write_text(f"#!{nested}\n")  # each other's interpreter
    assert files_of(str(script)) == []


def test_folders_of_the_program_itself(tmp_path):
    (tmp_path / "lib").mkdir()
    library = compiled(
        tmp_path / "lib", "libown.so", "int own(void){return 1;}",
        "gcc", "-shared", "-fPIC", "-Wl,-soname,libown.so",
    )  # fmt: skip
    program = compiled(
        tmp_path, "program", "int own(void); int main(void){return own();}", "gcc",
        str(library), "-Wl,-rpath,$ORIGIN/lib",
    )  # fmt: skip
    assert str(library) in files_of(str(program))


def test_virtual_machine_of_java(tmp_path):
    (tmp_path / "server").mkdir()
    shared = ("gcc", "-shared", "-fPIC", "-Wl,-soname,libjli.so")
    launcher = compiled(tmp_path, "libjli.so", "int own(void){return 1;}", *shared)
    program = compiled(
        tmp_path, "java", "int own(void); int main(void){return own();}", "gcc",
        str(launcher), "-Wl,-rpath,$ORIGIN",
    )  # fmt: skip
    found = files_of(str(program))
    assert str(launcher) in found
    assert not [path for path in found if "server" in path]  # it is not there
    machine = compiled(tmp_path / "server", "libjvm.so", "int x;", "gcc", "-shared", "-fPIC")
    assert str(machine) in files_of(str(program))


def test_what_is_no_program(tmp_path):
    plain = tmp_path / "plain"
    plain.write_bytes(b"\x7fELF but no more")
    plain.chmod(0o755)
    assert files_of(str(plain)) == []
    assert files_of("no-such-program") == []
    empty = tmp_path / "empty"
    empty.write_text("#!\n")
    empty.chmod(0o755)
    assert files_of(str(empty)) == []


@pytest.mark.parametrize("content", [b"", b"glibc-ld.so.cache1.1", b"x" * 100,
                                     b"glibc-ld.so.cache1.1" + b"\xff" * 100])  # fmt: skip
def test_caches_that_make_no_sense(tmp_path, content):
    file = tmp_path / "cache"
    file.write_bytes(content)
    assert needed._cache(file) == {} or all(needed._cache(file))
    assert needed._cache(tmp_path / "none") == {}
