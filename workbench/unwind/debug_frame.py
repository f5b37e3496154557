"""``.debug_frame``: unwind information of code that has no ``.eh_frame``, plain or compressed.

Go writes nothing else; C has it with ``-g -fno-asynchronous-unwind-tables``. Compressed sections:
System V gABI, chapter 4, "Compression Header" (SHF_COMPRESSED), and the older ``.zdebug_*`` of
GNU binutils: "ZLIB", the size as eight bytes, big end first, and the stream. What is stripped from
a program lies in its separate debug file.
"""

from __future__ import annotations

import struct
import zlib

from workbench.elf import Elf
from workbench.elf_format import SHT_NOBITS, Section
from workbench.errors import ObjectFormatError
from workbench.symbols.debug_files import DebugFiles
from workbench.unwind.encodings import malformed
from workbench.unwind.entries import FrameSection

MAX_BYTES = 1 << 26
"""Of the section, as it is in the file and unpacked."""
ELFCOMPRESS_ZLIB = 1
_HEADER = struct.Struct("<IIQQ")  # Elf64_Chdr: type, reserved, size, alignment
_OLD_HEADER = struct.Struct(">4sQ")


def debug_frame(elf: Elf) -> FrameSection | None:
    """Return ``.debug_frame`` of a file, unpacked, or None if it has none.

    Raises
    ------
    ObjectFormatError
        It is damaged, larger than :data:`MAX_BYTES`, or has not the size that it claims.
    """
    section = _section(elf)
    if section is None:
        return None
    if section.size > MAX_BYTES:
        raise malformed(f"{section.name} has more than {MAX_BYTES} bytes")
    data = _unpacked(section, elf.section_bytes(section))
    return None if data is None else FrameSection(data, eh=False)


def separate_debug_frame(elf: Elf, debug_files: DebugFiles) -> FrameSection | None:
    """Return ``.debug_frame`` of a file's separate debug file; None without a sound one.

    Parameters
    ----------
    elf : Elf
        The program or library; its name is the path where it lies.
    debug_files : DebugFiles
    """
    found = debug_files.find(elf, elf.name, wanted=lambda file: _section(file) is not None)
    if found is None:
        return None
    with found:
        try:
            return debug_frame(found)
        except ObjectFormatError:
            return None


def _section(elf: Elf) -> Section | None:
    section = elf.sections.get(".debug_frame") or elf.sections.get(".zdebug_frame")
    return None if section is None or section.type == SHT_NOBITS else section


def _unpacked(section: Section, data: bytes) -> bytes | None:
    """Return the content of a section; None for a compression that is not known."""
    if section.compressed:
        if len(data) < _HEADER.size:
            raise malformed("a compressed section has no header")
        kind, _, size, _ = _HEADER.unpack_from(data)
        return _inflated(data[_HEADER.size :], size) if kind == ELFCOMPRESS_ZLIB else None
    if section.name == ".zdebug_frame":
        if len(data) < _OLD_HEADER.size:
            raise malformed("a compressed section has no header")
        magic, size = _OLD_HEADER.unpack_from(data)
        return _inflated(data[_OLD_HEADER.size :], size) if magic == b"ZLIB" else None
    return data


def _inflated(data: bytes, size: int) -> bytes:
    """Unpack exactly `size` bytes; a stream that holds more is given up there."""
    if size > MAX_BYTES:
        raise malformed(f"a section claims to have {size} bytes unpacked")
    try:
        found = zlib.decompressobj().decompress(data, size + 1)
    except zlib.error as error:
        raise malformed(f"a section cannot be unpacked: {error}") from error
    if len(found) != size:
        raise malformed("a section has not the size unpacked that it claims")
    return found
