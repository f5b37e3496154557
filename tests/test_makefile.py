"""The Makefile: every target explained, nothing done twice, changes noticed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
INTERNAL = {
    "packages-demo", "packages-test", "packages-bench", "packages-vm", "venv-demo", "venv-dev",
}  # fmt: skip

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments: str, cwd: Path = ROOT) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    run = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=cwd,
        env=environment | {"LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def phony_targets() -> set[str]:
    content = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    return set(re.search(r"^\.PHONY:(.*)$", content, re.MULTILINE)[1].split())


def test_make_explains_every_target():
    output = make()
    documented = set(re.findall(r"^  make ([a-z-]+) +\S", output, re.MULTILINE))
    assert {"demo", "test", "setup", "bpf", "bench", "dataset", "lint", "types"} <= documented
    assert documented == phony_targets() - INTERNAL


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Only what the compiled parts depend on; the compilers are replaced by touch and copy."""
    for folder in ("bpf", "workbench/preload", "workbench/demo"):
        (tmp_path / folder).mkdir(parents=True)
        for path in (ROOT / folder).glob("*.[ch]"):
            shutil.copy(path, tmp_path / folder)
    shutil.copy(ROOT / "Makefile", tmp_path)
    fake = tmp_path / "fake-compiler"
    fake.write_text('#!/bin/sh\nwhile [ $# -gt 1 ]; do [ "$1" = -o ] && touch "$2"; shift; done\n')
    fake.chmod(0o755)
    return tmp_path


def build(copy: Path) -> str:
    fake = copy / "fake-compiler"
    return make("bpf", "workload", f"CLANG={fake}", f"CC={fake}", "LLVM_STRIP=true", cwd=copy)


def programs(copy: Path) -> list[str]:
    """What is compiled: every program once, those with stacks as an option once more."""
    sources = list((copy / "bpf").glob("*.bpf.c"))
    twice = [source for source in sources if "WB_STACKS" in source.read_text()]
    return sorted(source.name.removesuffix(".bpf.c") for source in [*sources, *twice])


def compiled(output: str) -> list[str]:
    return sorted(re.findall(r"-c bpf/(\w+)\.bpf\.c", output))


def test_second_build_does_nothing(copy):
    first = build(copy)
    assert compiled(first) == programs(copy)
    twice = re.findall(r"-DWB_STACKS -c bpf/(\w+)", first)
    assert sorted(twice) == sorted({p for p in programs(copy) if programs(copy).count(p) == 2})
    assert {"syscalls", "files", "locks", "probe"} <= set(twice)
    assert (copy / "workbench/demo/slow-api").exists()
    assert (copy / "workbench/objects/libworkbench-memory.so").exists()
    assert "fake-compiler" not in build(copy)


def test_changed_header_rebuilds_all_objects(copy):
    build(copy)
    later = os.stat(copy / "workbench/demo/slow-api").st_mtime + 10
    os.utime(copy / "bpf/workbench.bpf.h", (later, later))
    again = build(copy)
    assert compiled(again) == programs(copy)
    assert "demo/main.c" not in again


@pytest.mark.parametrize(("name", "times"), [("cpu", 1), ("syscalls", 2)])
def test_changed_program_rebuilds_only_its_objects(copy, name, times):
    build(copy)
    later = os.stat(copy / "workbench/demo/slow-api").st_mtime + 10
    os.utime(copy / f"bpf/{name}.bpf.c", (later, later))
    assert compiled(build(copy)) == [name] * times


def test_changed_library_rebuilds_it(copy):
    build(copy)
    later = os.stat(copy / "workbench/demo/slow-api").st_mtime + 10
    os.utime(copy / "workbench/preload/memory.c", (later, later))
    again = build(copy)
    assert compiled(again) == []
    assert "libworkbench-memory.so" in again


def test_failed_compilation_leaves_no_object(copy):
    fake = copy / "fake-compiler"
    fake.write_text(fake.read_text() + "exit 1\n")
    with pytest.raises(AssertionError):
        build(copy)
    assert not list((copy / "workbench/objects").glob("*.bpf.o"))


def packages(*groups: str, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", ROOT / "tools/packages.sh", *groups],
        env={"PATH": path, "PYTHON": "/nonexistent/python3"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_missing_packages_without_root_are_named(tmp_path):
    """A user who may not install is told exactly what to install."""
    for tool in ("sh", "tr", "sort", "sed", "find", "grep", "test"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    fake_id = tmp_path / "id"
    fake_id.write_text("#!/bin/sh\necho 1000\n")
    fake_id.chmod(0o755)
    run = packages("demo", path=str(tmp_path))
    assert run.returncode == 1
    assert "As root:" in run.stderr
    asked = run.stderr.split("--no-install-recommends")[1].split()
    assert {"clang", "llvm", "gcc", "python3-venv"} <= set(asked)
    assert "chromium" not in asked  # the demo needs no browser
    assert len(asked) == len(set(asked))


def test_unknown_group_is_refused():
    run = packages("nonsense", path=os.environ["PATH"])
    assert run.returncode == 2
    assert "nonsense" in run.stderr


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_scripts_pass_shellcheck():
    scripts = [*(ROOT / "tools").glob("*.sh"), ROOT / ".ci/run", ROOT / "binder/postBuild"]
    run = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_scripts_are_executable():
    for script in [*(ROOT / "tools").glob("*.sh"), ROOT / ".ci/run", ROOT / "binder/postBuild"]:
        assert os.access(script, os.X_OK), script
