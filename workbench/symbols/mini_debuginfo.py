"""Symbols that a stripped program carries along: ``.gnu_debugdata``.

Fedora and others put a symbol table of the functions that ``.dynsym`` lacks, as an ELF file
compressed with xz, into the section ``.gnu_debugdata`` (GDB manual, "MiniDebugInfo").
"""

from __future__ import annotations

from workbench.elf import Elf
from workbench.errors import ObjectFormatError

MAX_BYTES = 1 << 26
"""Most that is decompressed; that of the largest programs has 5 MB."""
MAX_COMPRESSED = 1 << 24
_MAX_MEMORY = 1 << 27
"""Most that the decompressor may use; ``xz -9`` needs 65 MB."""


def mini_debuginfo(elf: Elf) -> Elf | None:
    """Return the file within a file, None if there is none or it is malformed.

    Parameters
    ----------
    elf : Elf
        The open program.
    """
    section = elf.sections.get(".gnu_debugdata")
    if section is None or not section.size or section.size > MAX_COMPRESSED:
        return None
    try:
        content = _unpacked(elf.section_bytes(section))
        return Elf(content, f"{elf.name} (.gnu_debugdata)") if content else None
    except ObjectFormatError:
        return None


def _unpacked(content: bytes) -> bytes:
    """Return what xz packed, b"" if it is too much or damaged."""
    import lzma

    try:
        machine = lzma.LZMADecompressor(lzma.FORMAT_XZ, _MAX_MEMORY)
        unpacked = machine.decompress(content, MAX_BYTES)
    except (lzma.LZMAError, MemoryError, EOFError):
        return b""
    return unpacked if machine.eof else b""
