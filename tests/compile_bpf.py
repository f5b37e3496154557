"""Small BPF objects for tests, compiled where they are needed."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

HEADERS = Path(os.path.relpath(Path(__file__).parent.parent / "bpf"))
LICENSE = 'char LICENSE[] SEC("license") = "GPL";\n'
INCLUDES = "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n#include <bpf/bpf_tracing.h>\n"
PROGRAM = 'SEC("socket") int program(void *ctx) { return 0; }\n'


def compile_bpf(folder: Path, body: str, *, name="test", target="bpf", debug=True, head="") -> Path:
    """Compile a source and return the object; `body` follows includes and licence."""
    source, out = folder / f"{name}.bpf.c", folder / f"{name}.bpf.o"
    source.write_text((head or INCLUDES + LICENSE) + body)
    command = ["clang", "-O2", *(["-g"] if debug else []), "-target", target, "-mcpu=v3"]
    command += ["-I", str(HEADERS), "-idirafter", f"/usr/include/{platform.machine()}-linux-gnu"]
    subprocess.run(
        [*command, "-c", str(source), "-o", str(out)], check=True, stderr=subprocess.PIPE
    )
    return out


def bpf_descriptors() -> list[str]:
    """What this process holds open of BPF."""
    links = []
    for name in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:  # the one that the listing itself took
            continue
    ours = ("anon_inode:bpf", "anon_inode:[perf_event]")
    return [link for link in links if link.startswith(ours)]
