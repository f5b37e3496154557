"""Compile the benches' own BPF programs, as the Makefile compiles the workbench's."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

from benches.harness import ROOT

_ARCH = {"x86_64": "x86", "aarch64": "arm64"}


def compiled(source: Path, directory: Path, *flags: str) -> Path:
    """Compile a program with clang and further flags; return the object, made in ``directory``.

    Raises
    ------
    OSError, subprocess.CalledProcessError
        There is no clang, or it refuses the source.
    """
    machine = platform.machine()
    output = directory / source.with_suffix(".o").name
    command = ["clang", "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", f"-I{ROOT / 'bpf'}"]
    command += [f"-D__TARGET_ARCH_{_ARCH.get(machine, machine)}"]
    command += ["-idirafter", f"/usr/include/{machine}-linux-gnu"]
    subprocess.run([*command, *flags, "-c", str(source), "-o", str(output)], check=True)
    subprocess.run(["llvm-strip", "-g", str(output)], check=True)
    return output
