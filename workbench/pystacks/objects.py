"""Read code objects from a process, as the kernel side does, where it could not.

The kernel reads only pages that are in memory, and sends only the beginning of long texts. What
is missing is read here. A fingerprint of the fields that never change tells whether it still is
the object that ran.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from workbench.pystacks.layout import Layout
from workbench.pystacks.memory import ProcessMemory

MAX_TEXT = 4096
"""Longest name that is read, in characters; a longer one is cut."""
_MULTIPLIER = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1
FINGERPRINT_SHIFT = 34
"""wb_python_fingerprint in bpf/python.bpf.h computes the same."""
_ENCODINGS = {1: "latin-1", 2: "utf-16-le", 4: "utf-32-le"}


@dataclass(frozen=True)
class CodeText:
    """What a code object says of itself.

    Parameters
    ----------
    name, file : str
        ``co_qualname`` and ``co_filename``.
    first_line : int
        ``co_firstlineno``.
    lines : bytes
        ``co_linetable``; empty where it could not be read.
    """

    name: str
    file: str
    first_line: int
    lines: bytes


def decode_text(content: bytes, kind: int) -> str:
    """Return the text of ``PyUnicode_DATA``.

    Parameters
    ----------
    content : bytes
    kind : int
        Bytes of a character: 1 (Latin-1), 2 or 4; anything else gives "".
    """
    if kind not in _ENCODINGS:
        return ""
    # Python allows lone surrogates; they have no place in a file of UTF-8.
    return content[: len(content) // kind * kind].decode(_ENCODINGS[kind], "replace")


def fingerprint(block: bytes, layout: Layout) -> int:
    """Return the fingerprint of a code object, 30 bits.

    Parameters
    ----------
    block : bytes
        Its first ``layout.code_bytes``.
    """
    size = layout.object_size
    fields = (
        *(size + 8, size + 16, layout.code_version, layout.code_first_line),
        *(layout.code_file, layout.code_name, layout.code_lines),
    )
    (value,) = struct.unpack_from("<Q", block, size)
    for field in fields:
        (word,) = struct.unpack_from("<Q", block, field & ~7)
        value = (value ^ word) * _MULTIPLIER & _MASK
        value ^= value >> 29
    return int(value >> FINGERPRINT_SHIFT)


def read_text(memory: ProcessMemory, layout: Layout, address: int) -> str:
    """Return the str object at an address, "" where there is none."""
    head = memory.read(address, layout.text_ascii)
    if not head:
        return ""
    (length,) = struct.unpack_from("<Q", head, layout.text_length)
    state = struct.unpack_from("<I", head, layout.text_state)[0] >> layout.text_kind
    kind, compact, ascii_only = state & 7, state & 8, state & 16
    if not compact or kind not in _ENCODINGS:
        return ""
    start = address + (layout.text_ascii if ascii_only else layout.text_compact)
    return decode_text(memory.read(start, min(length, MAX_TEXT) * kind), kind)


def read_bytes(memory: ProcessMemory, layout: Layout, address: int) -> bytes:
    """Return the bytes object at an address, none where it cannot be read."""
    return memory.read(address + layout.bytes_data, memory.word(address + layout.object_size))


def read_code(
    memory: ProcessMemory, layout: Layout, code_type: int, address: int, expected: int
) -> CodeText | None:
    """Return the code object at an address.

    Parameters
    ----------
    code_type : int
        Address of ``PyCode_Type``.
    expected : int
        Its fingerprint.

    Returns
    -------
    CodeText or None
        None when that code object does not lie there any more.
    """
    block = memory.read(address, layout.code_bytes)
    if not block or struct.unpack_from("<Q", block, layout.object_type)[0] != code_type:
        return None
    if fingerprint(block, layout) != expected:
        return None
    name, file, lines = (
        struct.unpack_from("<Q", block, at)[0]
        for at in (layout.code_name, layout.code_file, layout.code_lines)
    )
    found = CodeText(
        read_text(memory, layout, name),
        read_text(memory, layout, file),
        struct.unpack_from("<i", block, layout.code_first_line)[0],
        read_bytes(memory, layout, lines),
    )
    # Gone while it was read?
    again = memory.read(address, layout.code_bytes)
    return found if again and fingerprint(again, layout) == expected else None
