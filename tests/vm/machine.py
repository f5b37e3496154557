"""Run a command on another kernel: a virtual machine for one command."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vm import initrd

if TYPE_CHECKING:
    from vm.kernels import Kernel

QEMU = "qemu-system-x86_64"
MEMORY_MB = 1536
ENVIRONMENT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb "
    "NPY_DISABLE_CPU_FEATURES=X86_V3 ARROW_USER_SIMD_LEVEL=AVX"
)
"""QEMU 7.2 takes ymm4 as the index of an AVX2 gather for "no index", as rsp is one in an address of
general registers. NumPy's sorts gather so: they gave wrong orders, and read wherever that led."""


@dataclass(frozen=True)
class Outcome:
    """What came of a command.

    Parameters
    ----------
    code : int or None
        Its exit code; None if it did not end in time, or the machine did not boot.
    output : str
        What it printed, both streams.
    console : str
        What the kernel printed.
    seconds : float
        How long all of it took.
    """

    code: int | None
    output: str
    console: str
    seconds: float


def run(kernel: Kernel, command: str, *, timeout: float = 300.0) -> Outcome:
    """Boot a kernel, run a command of the shell as root, power off.

    The machine is emulated: one CPU, Python about 16 times slower than here.

    Raises
    ------
    NoKernelError
    """
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="workbench-vm-") as name:
        folder = Path(name)
        exchange = folder / "exchange"
        exchange.mkdir()
        (exchange / "command").write_text(f"export {ENVIRONMENT}\n{command}\n")
        (folder / "initrd").write_bytes(initrd.build(kernel))
        try:
            subprocess.run(_words(kernel, folder), timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            pass
        code = _text(exchange / "code").strip()
        return Outcome(
            int(code) if code else None,
            _text(exchange / "output"),
            _text(folder / "console"),
            time.monotonic() - start,
        )


def available() -> bool:
    """Whether the emulator is installed."""
    return shutil.which(QEMU) is not None


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _words(kernel: Kernel, folder: Path) -> list[str]:
    """Command line of QEMU 7.2. Two CPUs misbehave where the host is busy."""
    share = "security_model=none,multidevs=remap"
    return [
        QEMU, "-M", "pc", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max",
        "-m", str(MEMORY_MB), "-smp", "1", "-nodefaults", "-no-user-config", "-no-reboot",
        "-display", "none", "-serial", f"file:{folder / 'console'}",
        "-kernel", str(kernel.image), "-initrd", str(folder / "initrd"),
        "-append", "console=ttyS0 panic=-1 quiet mitigations=off nokaslr",
        "-fsdev", f"local,id=root,path=/,readonly=on,{share}",
        "-device", "virtio-9p-pci,fsdev=root,mount_tag=root",
        "-fsdev", f"local,id=exchange,path={folder / 'exchange'},security_model=none",
        "-device", "virtio-9p-pci,fsdev=exchange,mount_tag=exchange",
    ]  # fmt: skip
