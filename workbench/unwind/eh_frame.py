"""Unwind tables of files, from ``.eh_frame``; ``.debug_frame`` fills what that leaves out.

``.eh_frame`` is found as a section, or through the program header PT_GNU_EH_FRAME, which stays
when section headers are stripped (Linux Standard Base Core 5.0, sections 10.6 and 12.2). For what
both leave out, see :mod:`workbench.unwind.startup_code`. All that is read may be hostile: every
size is limited, and the time grows with the sizes only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.elf import Elf
from workbench.elf_format import EM_X86_64, SHT_NOBITS, SHT_PROGBITS, Section
from workbench.unwind.debug_frame import debug_frame
from workbench.unwind.encodings import PE_OMIT, malformed, pointer
from workbench.unwind.entries import FrameSection, read_entries
from workbench.unwind.rows import MAX_OFFSET
from workbench.unwind.startup_code import with_startup_code
from workbench.unwind.table import (
    Functions,
    Source,
    UnwindTable,
    bad_rows,
    functions_of,
    merged,
    outside,
    rows_of,
)

PT_GNU_EH_FRAME = 0x6474E550
"""include/uapi/linux/elf.h"""
MAX_FRAME_BYTES = 1 << 26
"""Of a section; libLLVM's has 8 MB, and 64 MB take some seconds."""
_MAX_HEADER = 20
"""Four bytes that say how the rest is encoded, a pointer and a count."""


def table_of(elf: Elf) -> UnwindTable:
    """Make the unwind table of an open file.

    Parameters
    ----------
    elf : Elf
        A program, a library or a vdso. Other files (relocatable ones, separate debug files) have
        no table.

    Returns
    -------
    UnwindTable

    Raises
    ------
    ObjectFormatError
        The unwind information is damaged or too large.
    """
    if not is_supported(elf):
        return UnwindTable(status="unsupported_machine")
    sections = [section for section in (eh_frame(elf), debug_frame(elf)) if section]
    return with_startup_code(elf, make_table(elf, sections))


def is_supported(elf: Elf) -> bool:
    """Whether there are rules for the machine of a file: x86-64."""
    return elf.machine == EM_X86_64 and elf.bits == 64 and elf.byteorder == "little"


def make_table(elf: Elf, sections: list[FrameSection]) -> UnwindTable:
    """Make a table of sections alone; of two, the first has precedence.

    Parameters
    ----------
    elf : Elf
        The file, whose program headers place code.
    sections : list of FrameSection

    Raises
    ------
    ObjectFormatError
        As in :func:`table_of`.
    """
    placed: list[Functions] = []
    parts: list[NDArray[np.uint64]] = []
    sources: list[Source] = []
    for section in sections:
        entries = read_entries(section)
        functions = functions_of(entries, elf.loads)
        if placed:
            functions = outside(functions, placed[0])
        if len(functions):
            placed.append(functions)
            parts.append(rows_of(functions, entries.distinct))
            sources.append("eh_frame" if section.eh else "debug_frame")
    if not parts:
        return UnwindTable()
    rows = merged(*parts) if len(parts) > 1 else parts[0]
    far = any(functions.ends.max() > MAX_OFFSET for functions in placed)
    return UnwindTable(
        rows,
        bad_rows(rows),
        sources[0] if len(sources) == 1 else "both",
        "beyond_4_gib" if far else "ok",
    )


def eh_frame(elf: Elf) -> FrameSection | None:
    """Return ``.eh_frame`` of a file, or None if it has none.

    Raises
    ------
    ObjectFormatError
        It does not lie in the file, or is larger than :data:`MAX_FRAME_BYTES`.
    """
    section = elf.sections.get(".eh_frame")
    if section is None:
        return _by_segment(elf)
    if section.type == SHT_NOBITS or section.compressed:
        return None
    if section.size > MAX_FRAME_BYTES:
        raise malformed(f"{section.name} has more than {MAX_FRAME_BYTES} bytes")
    return FrameSection(elf.section_bytes(section), section.addr)


def _by_segment(elf: Elf) -> FrameSection | None:
    """Find ``.eh_frame`` through ``.eh_frame_hdr``; it may reach up to the end of its segment."""
    header = next((s for s in elf.segments if s.type == PT_GNU_EH_FRAME), None)
    if header is None or header.filesz < 4:
        return None
    data = _bytes(elf, header.offset, min(header.filesz, _MAX_HEADER))
    version, encoding, count_encoding = data[:3]
    if version != 1 or encoding == PE_OMIT:
        return None
    address, at = pointer(data, 4, encoding, header.vaddr, header.vaddr)
    load = next((s for s in elf.loads if s.vaddr <= address < s.vaddr + s.filesz), None)
    if load is None:
        return None
    offset, size = load.offset + address - load.vaddr, load.vaddr + load.filesz - address
    limit = MAX_FRAME_BYTES  # more FDEs than fit
    if count_encoding != PE_OMIT:
        limit, _ = pointer(data, at, count_encoding, header.vaddr, header.vaddr)
    return FrameSection(_bytes(elf, offset, min(size, MAX_FRAME_BYTES)), address, limit=limit)


def _bytes(elf: Elf, offset: int, size: int) -> bytes:
    """Read a piece of the file as if it was a section."""
    return elf.section_bytes(Section(0, ".eh_frame", SHT_PROGBITS, 0, 0, offset, size, 0, 0, 0))
