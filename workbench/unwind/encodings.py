"""Numbers and pointers as DWARF encodes them: LEB128 and DW_EH_PE_*.

Sources: DWARF 5, section 7.6; Linux Standard Base Core 5.0, section 10.5.1 (DW_EH_PE_*).
"""

from __future__ import annotations

import struct

from workbench.errors import ObjectFormatError

MAX_LEB = 16
"""Bytes of a number that are read; 10 hold 64 bits, some assemblers pad."""

# Lower four bits: the format. The next three: what the value is relative to. The highest: whether
# it is the address of the pointer.
PE_ABSPTR, PE_ULEB128, PE_SLEB128, PE_SIGNED = 0x00, 0x01, 0x09, 0x08
PE_FORMAT, PE_RELATIVE = 0x0F, 0x70
PE_PCREL, PE_DATAREL, PE_ALIGNED, PE_INDIRECT, PE_OMIT = 0x10, 0x30, 0x50, 0x80, 0xFF
_FIXED = {0: "Q", 2: "H", 3: "I", 4: "Q", 8: "q", 0xA: "h", 0xB: "i", 0xC: "q"}
FIXED = {code: struct.Struct(f"<{letter}") for code, letter in _FIXED.items()}
"""Formats of a fixed size."""
PAIRS = {code: struct.Struct(f"<{letter}{letter.upper()}") for code, letter in _FIXED.items()}
"""The two of an FDE: where its code starts, and how long it is, which has no sign."""
ADDRESS_MASK = (1 << 64) - 1


def uleb(data: bytes, at: int) -> tuple[int, int]:
    """Return an unsigned LEB128 number and the position behind it.

    Raises
    ------
    ObjectFormatError
        It does not end in the data, or has more than :data:`MAX_LEB` bytes.
    """
    value = 0
    for shift, byte in enumerate(data[at : at + MAX_LEB]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value, at + shift + 1
    raise malformed("a number does not end")


def sleb(data: bytes, at: int) -> tuple[int, int]:
    """Return a signed LEB128 number and the position behind it; raises as :func:`uleb` does."""
    value, end = uleb(data, at)
    bits = 7 * (end - at)
    return (value - (1 << bits) if value >> bits - 1 else value), end


def pointer(
    data: bytes, at: int, encoding: int, address: int, data_base: int | None = None
) -> tuple[int, int]:
    """Return an encoded pointer and the position behind it.

    Parameters
    ----------
    data : bytes
        Of a section.
    at : int
        Position in `data`.
    encoding : int
        DW_EH_PE_*; what DW_EH_PE_indirect points to is not read.
    address : int
        Of the section.
    data_base : int, optional
        What DW_EH_PE_datarel is relative to.

    Raises
    ------
    ObjectFormatError
        It does not lie in the data, or is encoded in a way that has no meaning here.
    """
    relative = encoding & PE_RELATIVE
    if relative == PE_ALIGNED:
        at += -(address + at) % 8
    bases = {0: 0, PE_PCREL: address + at, PE_DATAREL: data_base, PE_ALIGNED: 0}
    base = bases.get(relative)
    if base is None:
        raise malformed(f"a pointer has the encoding {encoding:#x}")
    value, at = _value(data, at, encoding & PE_FORMAT)
    return (value + base) & ADDRESS_MASK, at


def _value(data: bytes, at: int, code: int) -> tuple[int, int]:
    if code in FIXED:
        fixed = FIXED[code]
        if at + fixed.size > len(data):
            raise malformed("a pointer reaches beyond the end")
        return int(fixed.unpack_from(data, at)[0]), at + fixed.size
    if code == PE_ULEB128:
        return uleb(data, at)
    if code == PE_SLEB128:
        return sleb(data, at)
    raise malformed(f"a pointer has the format {code:#x}")


def malformed(why: str) -> ObjectFormatError:
    """Return the error of unwind information that makes no sense."""
    return ObjectFormatError("The unwind information of a file cannot be read.", why=why)
