"""The files whose code runs: found through the process that maps them, read at most once.

A mapping's path alone may lie: the file may be deleted, replaced, or belong to another mount
namespace. So a file is opened through ``/proc/PID/map_files`` (the very file that is mapped; needs
privilege), else through ``/proc/PID/root``, else by its path, and must have the mapping's inode.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from mmap import PAGESIZE
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workbench.elf import Elf
from workbench.elf_format import PF_X, SHT_SYMTAB, Segment
from workbench.errors import ObjectFormatError
from workbench.symbols.debug_files import DebugFiles, has_lines
from workbench.symbols.elf_symbols import function_symbols
from workbench.symbols.mappings import Mapping
from workbench.symbols.regular import Identity, open_regular
from workbench.symbols.table import SymbolTable

__all__ = ["Identity", "Image", "open_mapping", "open_regular", "read_vdso"]

MAX_VDSO_BYTES = 1 << 20


@dataclass(eq=False)
class Image:
    """One mapped file; its symbols are read when they are first asked for.

    Parameters
    ----------
    number : int
        Unique within the process.
    path : str
        As the first process that mapped it sees it.
    source : int or bytes
        An open file, which the image takes over, or the content; -1 once it was read.
    reopen : str
        Path for reading the symbols again after :meth:`release`.
    identity : Identity, optional
        Of the file.
    root : str
        Root directory of a process that maps it, as it is seen from here.
    debug_files : DebugFiles, optional
        Where its separate debug file is looked for.

    Attributes
    ----------
    status : str
        "new", "ok", "malformed" (no ELF file), "unreadable".
    build_id : str
        Hexadecimal, known after :meth:`load`.
    lines : int
        Descriptor of the file with its DWARF debug information, the image's own or a separate
        one; -1 if there is none. Open from :meth:`load` until :meth:`close`.
    """

    number: int
    path: str
    source: int | bytes
    reopen: str = ""
    identity: Identity | None = None
    root: str = ""
    debug_files: DebugFiles = field(default_factory=DebugFiles)
    status: str = "new"
    build_id: str = ""
    lines: int = -1
    symbols: SymbolTable = field(default_factory=SymbolTable.empty)
    _segments: tuple[Segment, ...] = ()
    _loaded: bool = False

    @property
    def is_open(self) -> bool:
        """Whether the image holds an open file."""
        return isinstance(self.source, int) and self.source >= 0

    @property
    def base(self) -> int:
        """Address of the first loaded segment, in the file's own address space."""
        return self._segments[0].vaddr if self._segments else 0

    def load(self) -> None:
        """Read the file unless it was read; what fails is told by `status`, never raised."""
        if self._loaded:
            return
        self._loaded = True
        source = self.source if self.source != -1 else self._open_again()
        self.source = -1
        if source == -1:
            self.status = "unreadable" if self.status == "new" else self.status
            return
        try:
            with Elf(source, self.path) as elf:
                self.status = "ok"
                self.build_id = elf.build_id
                self._segments = elf.loads
                self._read(elf)
        except ObjectFormatError:
            self.status = "malformed"

    def close(self) -> None:
        """Close the files without reading them; they are opened again by path when needed."""
        if isinstance(self.source, int) and self.source >= 0:
            os.close(self.source)
            self.source = -1
        self.close_lines()

    def close_lines(self) -> None:
        """Close the file with the debug information."""
        if self.lines >= 0:
            os.close(self.lines)
            self.lines = -1

    def release(self) -> None:
        """Forget the symbols to save memory; the next use reads them again."""
        self.symbols = SymbolTable.empty()
        self._loaded = False

    def addresses(self, offsets: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the addresses, in the file's own address space, of offsets in the file.

        Parameters
        ----------
        offsets : numpy.ndarray of uint64
            Offsets that lie in executable mappings.

        Returns
        -------
        numpy.ndarray of uint64
            Through the PT_LOAD segments (gABI chapter 5, "Base Address"), of which executable
            ones come first; the offset itself where no segment holds it.
        """
        addresses = offsets.copy()
        open_ = np.ones(len(offsets), np.bool_)
        for segment in sorted(self._segments, key=lambda segment: not segment.flags & PF_X):
            # Mappings consist of whole pages: the first one begins before the segment.
            low = segment.offset // PAGESIZE * PAGESIZE
            high = -(-(segment.offset + segment.filesz) // PAGESIZE) * PAGESIZE
            inside = open_ & (offsets >= low) & (offsets < min(high, 1 << 63))
            shift = np.uint64((segment.vaddr - segment.offset) % (1 << 64))
            addresses[inside] = offsets[inside] + shift
            open_ &= ~inside
        return addresses

    def _read(self, elf: Elf) -> None:
        """Read the symbols, and keep the file that has the lines open."""
        own = has_lines(elf)
        separate = None if own else self.debug_files.find(elf, self.path, self.root, has_lines)
        if separate is None and not own and not len(elf.symbols(SHT_SYMTAB)):
            # One without lines has names at least.
            separate = self.debug_files.find(elf, self.path, self.root)
        try:
            self.symbols = function_symbols(elf, separate)
            self.close_lines()
            if own:
                self.lines = elf.duplicate()
            elif separate is not None and has_lines(separate):
                self.lines = separate.duplicate()
        finally:
            if separate is not None:
                separate.close()

    def _open_again(self) -> int:
        for descriptor, identity in open_regular(self.reopen):
            if identity == self.identity:
                return descriptor
            os.close(descriptor)
        return -1


def open_mapping(
    pid: int, mapping: Mapping, proc: Path = Path("/proc")
) -> tuple[int, Identity, str] | None:
    """Open the file of a mapping.

    Parameters
    ----------
    pid : int
        Process; it may be gone.
    mapping : Mapping
        One of its mappings of a file.
    proc : pathlib.Path
        Where procfs is mounted.

    Returns
    -------
    (int, Identity, str) or None
        Descriptor (for the caller to close), identity, and the path for opening it again; None
        when the file cannot be reached or another one has taken its place.
    """
    exact = f"{proc}/{pid}/map_files/{mapping.start:x}-{mapping.end:x}"
    for descriptor, identity in open_regular(exact):
        return descriptor, identity, mapping.path
    if mapping.deleted:
        return None
    for path in (f"{proc}/{pid}/root{mapping.path}", mapping.path):
        for descriptor, identity in open_regular(path):
            if _is_same(identity, mapping):
                return descriptor, identity, path
            os.close(descriptor)
    return None


def read_vdso(pid: int, mapping: Mapping, proc: Path = Path("/proc")) -> bytes:
    """Return the vdso's ELF image out of a process's memory, b"" where that is not allowed."""
    size = min(mapping.end - mapping.start, MAX_VDSO_BYTES)
    try:
        with (proc / str(pid) / "mem").open("rb", buffering=0) as memory:
            memory.seek(mapping.start)
            return memory.read(size)
    except (OSError, OverflowError, ValueError):
        return b""


def _is_same(identity: Identity, mapping: Mapping) -> bool:
    """Whether a file found by path is the mapped one, as far as that can be told.

    Some file systems (overlayfs, btrfs) show other device numbers in maps than in stat(2): then
    only the inode can tell, and on overlayfs not even that, so the path has to be believed.
    """
    device = os.major(identity.device), os.minor(identity.device)
    return identity.inode == mapping.inode or device != mapping.device
