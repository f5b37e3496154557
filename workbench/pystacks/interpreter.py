"""Find the CPython interpreter in a process: which file it is, which version, where its data lie.

It is the executable itself (static builds, whatever they are called) or a library of a name like
``libpython3.12.so.1.0``. ``_PyRuntime``, ``Py_Version`` and ``PyCode_Type`` are exported by both,
so a stripped interpreter will do, and a virtual environment makes no difference.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from mmap import PAGESIZE
from pathlib import Path

import numpy as np

from workbench.elf import Elf
from workbench.elf_format import SHN_UNDEF, SHT_DYNSYM, SHT_SYMTAB, Segment, Symbols
from workbench.errors import ObjectFormatError
from workbench.pystacks.layout import (
    COOKIE,
    OFFSETS_BYTES,
    SUPPORTED,
    TABLE,
    Layout,
    debug_offsets,
    layout_of,
)
from workbench.pystacks.memory import ProcessMemory
from workbench.symbols.image import Identity, open_mapping
from workbench.symbols.mappings import Mapping, Snapshot, read_maps

_NAME = re.compile(r"/(lib)?python[^/]*$")
_EXTENSION = re.compile(r"\.(cpython|abi)[^/]*\.so$")
_NEEDED = (b"_PyRuntime", b"Py_Version", b"PyCode_Type")
MAX_CANDIDATES = 8
MAX_INTERPRETERS = 64
MAX_KNOWN = 256
_RELEASE_CANDIDATE = 0xC
"""Level in ``PY_VERSION_HEX`` (Include/patchlevel.h) from which on layouts do not change."""


class PythonStatus(StrEnum):
    """What became of the search for an interpreter."""

    OK = "ok"
    NONE = "no Python interpreter"
    UNREADABLE = "the process is gone or cannot be read"
    VERSION = "a Python version that is not supported"
    FREE_THREADED = "a free-threaded Python that is not supported"
    LAYOUT = "Python's data are not laid out as expected"
    MACHINE = "a machine that is not supported"


@dataclass(frozen=True)
class Interpreter:
    """What was found in a process.

    Parameters
    ----------
    pid : int
    status : PythonStatus
        All but OK mean that no Python frames can be had.
    path : str
        File of the interpreter, as the process sees it.
    version : str
        Such as "3.12.1", "" where it is not known.
    runtime, code_type : int
        Addresses of ``_PyRuntime`` and ``PyCode_Type``.
    layout : Layout or None
        None unless `status` is OK.
    initialised : bool
        Whether Python runs already; before that the layout could not be checked.
    """

    pid: int
    status: PythonStatus
    path: str = ""
    version: str = ""
    runtime: int = 0
    code_type: int = 0
    layout: Layout | None = None
    initialised: bool = False


@dataclass(frozen=True)
class _Facts:
    """What a file says: addresses of the symbols (0: missing), and the segments."""

    bits: int
    symbols: tuple[int, ...]
    segments: tuple[Segment, ...]


def find_interpreter(pid: int, proc: Path = Path("/proc")) -> Interpreter:
    """Look for CPython in a process; never raises.

    Parameters
    ----------
    pid : int
        Nothing is assumed of it: files and memory may be hostile.

    Returns
    -------
    Interpreter
    """
    try:
        mappings = Snapshot.of(read_maps(pid, proc)).mappings
    except OSError:
        return Interpreter(pid, PythonStatus.UNREADABLE)
    with ProcessMemory(pid, proc) as memory:
        for mapping in _candidates(mappings, _executable(pid, proc)):
            facts = _facts_of(pid, mapping, proc)
            if facts is not None and facts.symbols[0]:
                return _interpreter(memory, mapping, facts)
    return Interpreter(pid, PythonStatus.NONE)


def has_ended(pid: int, proc: Path = Path("/proc")) -> bool:
    """Whether a process has no memory any more: it has gone, or is on its way."""
    try:
        return not read_maps(pid, proc)
    except OSError:
        return True


def is_interpreter(path: str) -> bool:
    """Whether a file has a name as interpreters and their libraries have."""
    return bool(_NAME.search(path) and not _EXTENSION.search(path))


def _executable(pid: int, proc: Path) -> tuple[int, str]:
    """Inode and path of the executable."""
    link = proc / str(pid) / "exe"
    try:
        return link.stat().st_ino, str(link.readlink()).removesuffix(" (deleted)")
    except OSError:
        return 0, ""


def _candidates(mappings: Iterable[Mapping], executable: tuple[int, str]) -> list[Mapping]:
    """Return the first mapping of each file that may be an interpreter; libraries go first."""
    first: dict[tuple[tuple[int, int], int], Mapping] = {}
    for mapping in mappings:
        if not mapping.is_file:
            continue
        # Overlays show one inode here and another one there.
        own = mapping.path == executable[1] or mapping.inode == executable[0]
        if own or is_interpreter(mapping.path):
            first.setdefault((mapping.device, mapping.inode), mapping)
    ordered = sorted(first.values(), key=lambda mapping: ".so" not in mapping.path)
    return ordered[:MAX_CANDIDATES]


_known: dict[Identity, _Facts | None] = {}


def _facts_of(pid: int, mapping: Mapping, proc: Path) -> _Facts | None:
    """Return the facts of a mapped file; each file is read once."""
    opened = open_mapping(pid, mapping, proc)
    if opened is None:
        return None
    descriptor, identity, _ = opened
    if identity in _known:
        os.close(descriptor)
        return _known[identity]
    if len(_known) >= MAX_KNOWN:
        _known.clear()
    _known[identity] = facts = _read_facts(descriptor)
    return facts


def _read_facts(descriptor: int) -> _Facts | None:
    try:
        with Elf(descriptor) as elf:
            addresses = _addresses(elf.symbols(SHT_DYNSYM))
            if not all(addresses):
                rest = _addresses(elf.symbols(SHT_SYMTAB))
                addresses = [a or b for a, b in zip(addresses, rest, strict=True)]
            return _Facts(elf.bits, tuple(addresses), elf.loads)
    except ObjectFormatError:
        return None


def _addresses(symbols: Symbols) -> list[int]:
    """Return the addresses of the symbols that are needed, 0 for those that are not defined."""
    found = []
    table = symbols.table
    for name in _NEEDED:
        address, at = 0, symbols.strings.find(name + b"\0")
        while at >= 0 and not address:  # a string may be the tail of another one
            rows = np.flatnonzero((table["name"] == at) & (table["shndx"] != SHN_UNDEF))
            address = int(table["value"][rows[0]]) if len(rows) else 0
            at = symbols.strings.find(name + b"\0", at + 1)
        found.append(address)
    return found


def _bias(mapping: Mapping, segments: tuple[Segment, ...]) -> int:
    """Return what the loader added to the file's addresses."""
    for segment in segments:
        low = segment.offset // PAGESIZE * PAGESIZE
        if low <= mapping.offset < segment.offset + segment.filesz:
            return mapping.start - mapping.offset + segment.offset - segment.vaddr
    return 0


def _interpreter(memory: ProcessMemory, mapping: Mapping, facts: _Facts) -> Interpreter:
    """Tell version and layout of the interpreter that `mapping` maps."""
    pid, path = memory.pid, mapping.path
    if facts.bits != 64:
        return Interpreter(pid, PythonStatus.MACHINE, path)
    bias = _bias(mapping, facts.segments)
    runtime, version_at, code_type = (bias + a if a else 0 for a in facts.symbols)
    if not version_at or not code_type:  # Py_Version came with 3.11
        return Interpreter(pid, PythonStatus.VERSION, path)
    number = memory.word(version_at)
    head = memory.read(runtime, OFFSETS_BYTES)
    if not number or not head:
        return Interpreter(pid, PythonStatus.UNREADABLE, path)
    version = (number >> 24 & 0xFF, number >> 16 & 0xFF)
    text = ".".join(map(str, struct.pack(">I", number & 0xFFFFFFFF)[:3]))
    status, layout = _layout(version, number, head)
    initialised = False
    if layout is not None:
        status, initialised = _check(memory, layout, runtime)
    if status != PythonStatus.OK:
        return Interpreter(pid, status, path, text)
    return Interpreter(pid, status, path, text, runtime, code_type, layout, initialised)


def _layout(
    version: tuple[int, int], number: int, head: bytes
) -> tuple[PythonStatus, Layout | None]:
    if version not in SUPPORTED or number >> 4 & 0xF < _RELEASE_CANDIDATE or number >> 32:
        return PythonStatus.VERSION, None
    if version in TABLE:
        # These versions have no such structure: what starts with it is something else.
        unlike = head.startswith(COOKIE)
        return (PythonStatus.LAYOUT, None) if unlike else (PythonStatus.OK, TABLE[version])
    offsets = debug_offsets(head, version)
    if not offsets or offsets["version"] != number:
        return PythonStatus.LAYOUT, None
    if offsets["free_threaded"] and version == (3, 14):
        # Threads run their own copies of the bytecode there (co_tlbc).
        return PythonStatus.FREE_THREADED, None
    layout = layout_of(offsets, version)
    return (PythonStatus.OK, layout) if layout.is_sound() else (PythonStatus.LAYOUT, None)


def _check(memory: ProcessMemory, layout: Layout, runtime: int) -> tuple[PythonStatus, bool]:
    """Compare the layout with what lies there: thread states point back to their interpreters.

    Returns
    -------
    PythonStatus
        OK or LAYOUT.
    bool
        Whether there was anything to compare.
    """
    interpreter, seen = memory.word(runtime + layout.runtime_interpreter), 0
    for _ in range(MAX_INTERPRETERS):
        if not interpreter:
            break
        thread = memory.word(interpreter + layout.interpreter_thread)
        if thread:
            seen += 1
            if memory.word(thread + layout.thread_interpreter) != interpreter:
                return PythonStatus.LAYOUT, True
        interpreter = memory.word(interpreter + layout.interpreter_next)
    return PythonStatus.OK, seen > 0
