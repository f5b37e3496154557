"""The files and vdsos whose code a process runs, found through its mappings.

A file is told by inode, size and device, as the BPF side reads them from the mapping itself
(``struct wb_image_key``, bpf/unwind.bpf.h) and as /proc/PID/maps shows them.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from workbench.symbols.image import open_mapping, read_vdso
from workbench.symbols.mappings import Mapping, Snapshot, read_maps

MAX_IMAGES = 4096
"""Files of one process that are looked at."""
VDSO = "[vdso]"


@dataclass(frozen=True)
class ImageKey:
    """What the BPF side knows a file by.

    Parameters
    ----------
    inode, size : int
        Of the file; for a vdso 0 and the size of its mapping.
    device : int
        ``s_dev`` of the kernel: major << 20 | minor (MKDEV, include/linux/kdev_t.h).
    """

    inode: int
    size: int
    device: int

    def packed(self) -> bytes:
        """Return ``struct wb_image_key``."""
        return struct.pack("<QQII", self.inode, self.size & (1 << 64) - 1, self.device, 0)


@dataclass(frozen=True)
class FoundImage:
    """A file that a process maps for execution, open.

    Parameters
    ----------
    key : ImageKey
    pid : int
        The process.
    mapping : Mapping
        The first executable mapping of the file.
    source : int or bytes
        A descriptor, for the one who takes the image to close, or the content of a vdso.
    """

    key: ImageKey
    pid: int
    mapping: Mapping
    source: int | bytes

    def close(self) -> None:
        """Close the file."""
        if isinstance(self.source, int):
            os.close(self.source)


def images_of(
    pid: int,
    wanted: Callable[[Mapping], bool] = lambda _mapping: True,
    proc: Path = Path("/proc"),
) -> Iterator[FoundImage]:
    """Find what a process runs.

    Files are opened through ``/proc/PID/map_files``, else ``/proc/PID/root``: deleted files and
    those of other mount namespaces are found as well. What cannot be opened is left out, and so
    is everything once the process is gone.

    Parameters
    ----------
    pid : int
    wanted : callable
        Whether the file of a mapping is to be opened.
    proc : pathlib.Path
        Where procfs is mounted.

    Yields
    ------
    FoundImage
        Each file once.
    """
    try:
        content = read_maps(pid, proc)
    except OSError:
        return
    seen: set[tuple[int, int]] = set()
    for mapping in Snapshot.of(content, executable_only=True).mappings:
        place = place_of(mapping)
        if place in seen or len(seen) >= MAX_IMAGES:
            continue
        if (mapping.path == VDSO or mapping.is_file) and wanted(mapping):
            seen.add(place)
            found = _open(pid, mapping, proc)
            if found is not None:
                yield found


def images_of_files(pid: int, files: Iterable[tuple[Mapping, int]]) -> list[FoundImage]:
    """Return the images of files that somebody else has opened: mappings and descriptors."""
    found = []
    for mapping, descriptor in files:
        device, inode = place_of(mapping)
        key = ImageKey(inode, os.fstat(descriptor).st_size, device)
        found.append(FoundImage(key, pid, mapping, descriptor))
    return found


def place_of(mapping: Mapping) -> tuple[int, int]:
    """Return (device, inode) of a mapping's file, for a vdso (0, its size)."""
    if mapping.path == VDSO:
        return 0, mapping.end - mapping.start
    return mapping.device[0] << 20 | mapping.device[1], mapping.inode


def _open(pid: int, mapping: Mapping, proc: Path) -> FoundImage | None:
    if mapping.path == VDSO:
        content = read_vdso(pid, mapping, proc)
        key = ImageKey(0, mapping.end - mapping.start, 0)
        return FoundImage(key, pid, mapping, content) if content else None
    opened = open_mapping(pid, mapping, proc)
    if opened is None:
        return None
    descriptor, identity, _ = opened
    device, inode = place_of(mapping)
    return FoundImage(ImageKey(inode, identity.size, device), pid, mapping, descriptor)
