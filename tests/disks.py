"""Disks of a test's own, and what the kernel counts of them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LoopDisk:
    """A file as a disk, until the end of the block.

    Attributes
    ----------
    file : Path
        What it keeps its content in.
    device : str
        Path of the device.
    name : str
        Of the device.
    """

    def __init__(self, file: Path, device: str) -> None:
        self.file = file
        self.device = device
        self.name = Path(device).name

    def counts(self) -> dict[str, int]:
        """Requests and sectors of 512 bytes: Documentation/block/stat.rst of the kernel."""
        values = [int(n) for n in Path(f"/sys/block/{self.name}/stat").read_text().split()]
        names = ("reads", "read_merges", "read_sectors", "read_ms", "writes", "write_merges")
        return dict(zip((*names, "write_sectors"), values, strict=False))


@contextmanager
def loop_disk(directory: Path, size: str = "64M") -> Iterator[LoopDisk]:
    """Give a disk of that size whose content is a file in the directory."""
    file = directory / "disk"
    subprocess.run(["truncate", "-s", size, file], check=True)
    attach = ["losetup", "--find", "--show", str(file)]
    done = subprocess.run(attach, check=True, capture_output=True, text=True)
    disk = LoopDisk(file, done.stdout.strip())
    try:
        yield disk
    finally:
        subprocess.run(["losetup", "--detach", disk.device], check=True)


@contextmanager
def mounted(disk: LoopDisk, directory: Path) -> Iterator[Path]:
    """Give the root of a file system of a disk's own, in which nobody else has files."""
    make = ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0", disk.device]
    subprocess.run(make, check=True)
    directory.mkdir()
    subprocess.run(["mount", disk.device, directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", directory], check=True)
