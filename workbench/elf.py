"""A small reader of ELF files that trusts nothing in them.

Used for BPF objects (by :mod:`workbench.probe`) and for symbols of traced processes, whose files
anybody may have made. Every offset and size is checked against the file and against limits before
memory is taken, so that a malformed file is an :class:`~workbench.errors.ObjectFormatError` and
never a crash, a hang or an allocation beyond the limits.

Files are read with ``pread`` and not mapped: reading a mapping of a file that its owner truncates
meanwhile ends the process with SIGBUS.

Sources: System V gABI, chapters 4 and 5 (ELF header, sections, symbols, program header, notes),
and ``include/uapi/linux/elf.h``. Nothing is decompressed; compressed sections (SHF_COMPRESSED) say
so. Constants and records lie in :mod:`workbench.elf_format`.
"""

from __future__ import annotations

import os
import stat
import struct
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from workbench.elf_format import (
    HEADER,
    MAX_BUILD_ID,
    MAX_NOTE_BYTES,
    MAX_NOTE_PLACES,
    MAX_SECTION_BYTES,
    MAX_SECTION_NAME,
    MAX_SECTIONS,
    MAX_SEGMENTS,
    MAX_SYMBOLS,
    NT_GNU_BUILD_ID,
    ORDER_32,
    PT_LOAD,
    PT_NOTE,
    SECTION,
    SEGMENT,
    SHN_XINDEX,
    SHT_NOBITS,
    SHT_NOTE,
    SHT_SYMTAB,
    SYMBOL,
    SYMBOL_LAYOUT,
    Section,
    Segment,
    Symbols,
    string_at,
)
from workbench.errors import ObjectFormatError


class Elf:
    """An open ELF file; close it, or use it as a context manager.

    Parameters
    ----------
    source : bytes or int
        Content of the file, or a file descriptor that the object takes over.
    name : str
        How errors call the file.

    Raises
    ------
    ObjectFormatError
        Not an ELF file, or a malformed one.

    Attributes
    ----------
    bits : int
        32 or 64.
    byteorder : str
        "little" or "big".
    machine : int
        ``e_machine``, such as :data:`EM_BPF`.
    etype : int
        ``e_type``, such as :data:`ET_DYN`.
    entry : int
        Address of the first instruction.
    section_list : tuple of Section
        All sections in the order of their index.
    sections : dict of str to Section
        Sections by name; of several of one name the first.
    segments : tuple of Segment
        All program headers.
    """

    def __init__(self, source: bytes | int, name: str = "ELF file") -> None:
        self.name = name
        self._source = source
        self._open = True
        try:
            self._size = len(source) if isinstance(source, bytes) else _regular_size(source, name)
            self._parse()
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, source: str | os.PathLike[str] | bytes) -> Elf:
        """Open a file by path, or its content.

        Parameters
        ----------
        source : path or bytes
            Only regular files are opened; opening never blocks on a pipe.

        Returns
        -------
        Elf

        Raises
        ------
        ObjectFormatError
            The file cannot be opened, is no ELF file, or a malformed one.
        """
        if isinstance(source, bytes):
            return cls(source)
        path = Path(source)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except (OSError, ValueError) as error:
            raise ObjectFormatError(f"{path} cannot be opened.", why=str(error)) from error
        return cls(descriptor, str(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what was read stays valid."""
        if self._open and isinstance(self._source, int):
            os.close(self._source)
        self._open = False

    def duplicate(self) -> int:
        """Return a further descriptor of the file, for the caller to close; -1 without a file."""
        return os.dup(self._source) if self._open and isinstance(self._source, int) else -1

    @property
    def loads(self) -> tuple[Segment, ...]:
        """The segments that are mapped into memory (PT_LOAD)."""
        return tuple(segment for segment in self.segments if segment.type == PT_LOAD)

    @cached_property
    def build_id(self) -> str:
        """The GNU build id as hexadecimal text, or ""."""
        places = [(s.offset, s.filesz) for s in self.segments if s.type == PT_NOTE]
        places += [(s.offset, s.size) for s in self.section_list if s.type == SHT_NOTE]
        for offset, size in places[:MAX_NOTE_PLACES]:
            found = self._build_id_in(offset, size)
            if found:
                return found
        return ""

    def section_bytes(self, section: str | Section) -> bytes:
        """Return the content of a section as it is in the file.

        Parameters
        ----------
        section : str or Section
            The section or its name.

        Returns
        -------
        bytes
            Empty for sections without content in the file (SHT_NOBITS).

        Raises
        ------
        ObjectFormatError
            No such section, it reaches beyond the file, or it is larger than
            :data:`MAX_SECTION_BYTES`.
        """
        if isinstance(section, str):
            if section not in self.sections:
                raise self._error(f"it has no section {section!r}")
            section = self.sections[section]
        if section.type == SHT_NOBITS:
            return b""
        return self._read(section.offset, section.size, f"section {section.name!r}")

    def bytes_at(self, address: int, size: int) -> bytes:
        """Return what is loaded at an address, as far as its segment's part of the file reaches.

        Parameters
        ----------
        address : int
            In the file's own virtual address space.
        size : int
            Bytes at most.

        Raises
        ------
        ObjectFormatError
        """
        for segment in self.loads:
            if segment.vaddr <= address < segment.vaddr + segment.filesz:
                skipped = address - segment.vaddr
                rest = min(size, segment.filesz - skipped)
                return self._read(segment.offset + skipped, rest, "code")
        return b""

    def symbols(self, kind: int = SHT_SYMTAB) -> Symbols:
        """Return the first symbol table of a kind.

        Parameters
        ----------
        kind : int
            :data:`SHT_SYMTAB` or :data:`SHT_DYNSYM`.

        Returns
        -------
        Symbols
            Empty when the file has no such table, or one without content (separate debug
            files have an empty ``.dynsym``).

        Raises
        ------
        ObjectFormatError
            The table or its strings do not lie in the file, or it holds more than
            :data:`MAX_SYMBOLS`.
        """
        section = next((s for s in self.section_list if s.type == kind), None)
        if section is None:
            return Symbols()
        layout = self._layout(SYMBOL_LAYOUT, "symbol")
        count = section.size // layout.itemsize
        if count > MAX_SYMBOLS:
            raise self._error(f"it has {count} symbols, more than {MAX_SYMBOLS}")
        if not 0 < section.link < len(self.section_list):
            raise self._error(f"section {section.name!r} has no string table")
        strings = self.section_bytes(self.section_list[section.link])
        raw = self._read(section.offset, count * layout.itemsize, f"section {section.name!r}")
        table = np.empty(count, SYMBOL)
        view = np.frombuffer(raw, layout)
        for name in SYMBOL_LAYOUT:
            table[name] = view[name]
        return Symbols(table, strings)

    def _parse(self) -> None:
        ident = self._read(0, 16, "identification") if self._size >= 16 else b""
        if ident[:4] != b"\x7fELF" or ident[4] not in (1, 2) or ident[5] not in (1, 2):
            raise self._error("it does not start like one")
        self.bits = 32 * ident[4]
        self.byteorder = "little" if ident[5] == 1 else "big"
        header = self._structures(HEADER, "header", 16, 1)[0]
        self.machine = int(header["machine"])
        self.etype = int(header["type"])
        self.entry = int(header["entry"])
        self.section_list = self._parse_sections(header)
        self.sections: dict[str, Section] = {}
        for section in self.section_list:
            self.sections.setdefault(section.name, section)
        self.segments = self._parse_segments(header)

    def _parse_sections(self, header: np.void) -> tuple[Section, ...]:
        offset, count, names_at = (int(header[name]) for name in ("shoff", "shnum", "shstrndx"))
        if not offset:
            return ()
        if int(header["shentsize"]) != self._layout(SECTION).itemsize:
            raise self._error("its section headers have another size")
        first = self._structures(SECTION, "section headers", offset, 1)[0]
        # Extended numbering: values that do not fit the header lie in section 0.
        count = count or int(first["size"])
        names_at = int(first["link"]) if names_at == SHN_XINDEX else names_at
        if count > MAX_SECTIONS:
            raise self._error(f"it has {count} sections, more than {MAX_SECTIONS}")
        table = self._structures(SECTION, "section headers", offset, count)
        names = b""
        if 0 < names_at < count and table["type"][names_at] != SHT_NOBITS:
            place = table[names_at]
            names = self._read(int(place["offset"]), int(place["size"]), "section names")
        columns = ("type", "flags", "addr", "offset", "size", "link", "info", "entsize")
        rows = zip(*(table[name].tolist() for name in ("name", *columns)), strict=True)
        return tuple(
            Section(index, string_at(names, name, MAX_SECTION_NAME), *values)
            for index, (name, *values) in enumerate(rows)
        )

    def _parse_segments(self, header: np.void) -> tuple[Segment, ...]:
        offset, count = int(header["phoff"]), int(header["phnum"])
        if not offset or not count:
            return ()
        if count == SHN_XINDEX and self.section_list:
            count = self.section_list[0].info
        if count > MAX_SEGMENTS:
            raise self._error(f"it has {count} segments, more than {MAX_SEGMENTS}")
        if int(header["phentsize"]) != self._layout(SEGMENT, "segment").itemsize:
            raise self._error("its program headers have another size")
        table = self._structures(SEGMENT, "program headers", offset, count, "segment")
        columns = ("type", "flags", "offset", "vaddr", "filesz", "memsz")
        rows = zip(*(table[name].tolist() for name in columns), strict=True)
        return tuple(Segment(*values) for values in rows)

    def _build_id_in(self, offset: int, size: int) -> str:
        """Return the build id among the notes at `offset`, or ""."""
        if size > MAX_NOTE_BYTES or offset + size > self._size:
            return ""
        notes = self._read(offset, size, "notes")
        words = struct.Struct("<3I" if self.byteorder == "little" else ">3I")
        at = 0
        while at + 12 <= len(notes):
            name_size, size, kind = words.unpack_from(notes, at)
            content = at + 12 + (name_size + 3 & ~3)
            at = content + (size + 3 & ~3)
            name = notes[content - (name_size + 3 & ~3) : content]
            if kind == NT_GNU_BUILD_ID and name == b"GNU\0" and at <= len(notes):
                return notes[content : content + size].hex() if size <= MAX_BUILD_ID else ""
        return ""

    def _layout(self, fields: dict[str, tuple[int, int]], order: str = "") -> np.dtype[np.void]:
        """Return the dtype of a structure in this file's class and byte order."""
        names = ORDER_32[order] if order and self.bits == 32 else tuple(fields)
        sign, wide = "<" if self.byteorder == "little" else ">", self.bits == 64
        return np.dtype([(name, f"{sign}u{fields[name][wide]}") for name in names])

    def _structures(
        self,
        fields: dict[str, tuple[int, int]],
        what: str,
        offset: int,
        count: int,
        order: str = "",
    ) -> NDArray[Any]:
        layout = self._layout(fields, order)
        return np.frombuffer(self._read(offset, count * layout.itemsize, what), layout)

    def _read(self, offset: int, size: int, what: str) -> bytes:
        """Return exactly `size` bytes at `offset`, or say that the file is malformed."""
        if offset + size > self._size:
            raise self._error(f"its {what} reaches beyond its end")
        if size > MAX_SECTION_BYTES:
            raise self._error(f"its {what} has {size} bytes, more than {MAX_SECTION_BYTES}")
        if not self._open:
            raise self._error("it is closed")
        if isinstance(self._source, bytes):
            return self._source[offset : offset + size]
        parts, end = [], offset + size
        while offset < end:
            try:
                part = os.pread(self._source, end - offset, offset)
            except OSError as error:
                raise self._error(f"its {what} cannot be read ({error.strerror})") from error
            if not part:
                raise self._error(f"its {what} was cut off while it was read")
            parts.append(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _error(self, why: str) -> ObjectFormatError:
        return ObjectFormatError(f"{self.name} is not an ELF file that can be read.", why=why)


def _regular_size(descriptor: int, name: str) -> int:
    """Return the size of a regular file; pipes and devices are refused."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ObjectFormatError(f"{name} is not an ELF file that can be read.", why="not a file")
    return status.st_size
