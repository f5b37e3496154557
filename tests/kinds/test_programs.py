"""The programs' sources: they compile for the other architecture, too."""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

BPF = Path(__file__).parents[2] / "bpf"
SOURCES = sorted(BPF.glob("*.bpf.c"))
# arch/arm64/include/uapi/asm/ptrace.h: what a machine of another architecture has no header of.
ARM64 = """
struct user_pt_regs {
    unsigned long long regs[31], sp, pc, pstate;
};
"""


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name.partition(".")[0])
def test_they_compile_for_arm64(tmp_path, source):
    if shutil.which("clang") is None:
        pytest.skip("clang is not installed")
    machine, prelude = platform.machine(), tmp_path / "arm64.h"
    prelude.write_text("" if machine == "aarch64" else ARM64)
    command = ["clang", "-target", "bpf", "-mcpu=v3", "-O2", "-fsyntax-only", "-Wall", "-Werror"]
    command += ["-D__TARGET_ARCH_arm64", f"-I{BPF}", "-include", str(prelude)]
    command += ["-idirafter", f"/usr/include/{machine}-linux-gnu"]
    for flags in ([], ["-DWB_STACKS"]) if "WB_STACKS" in source.read_text() else ([],):
        subprocess.run([*command, *flags, str(source)], check=True)


def test_there_are_programs():
    assert {"cpu", "files", "syscalls"} <= {path.name.partition(".")[0] for path in SOURCES}
