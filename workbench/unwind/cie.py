"""CIEs of ``.eh_frame`` and ``.debug_frame``: what the records of functions have in common.

Sources: Linux Standard Base Core 5.0, section 10.6.1.1; DWARF 5, section 6.4.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench.errors import ObjectFormatError
from workbench.unwind.cfi import RETURN, Factors, run
from workbench.unwind.encodings import (
    PE_ABSPTR,
    PE_INDIRECT,
    PE_OMIT,
    PE_PCREL,
    PE_RELATIVE,
    pointer,
    sleb,
    uleb,
)


@dataclass(frozen=True)
class Cie:
    """What a CIE says about its FDEs.

    Parameters
    ----------
    factors : Factors
    pointers : int
        How addresses are encoded, DW_EH_PE_*.
    augmented : bool
        Whether FDEs have augmentation data.
    """

    factors: Factors
    pointers: int
    augmented: bool


def read_cie(data: bytes, address: int) -> Cie | None:
    """Return what a CIE says; None if it is damaged, or has a form that is not known.

    Parameters
    ----------
    data : bytes
        The record behind its length and mark.
    address : int
        Of `data`.
    """
    try:
        return _read_cie(data, address)
    except (ObjectFormatError, IndexError):
        return None


def _read_cie(data: bytes, address: int) -> Cie | None:
    version, text_end = data[0], data.find(b"\0", 1)
    if version not in (1, 3, 4) or text_end < 0:
        return None
    augmentation, at = data[1:text_end], text_end + 1
    if version == 4:
        if data[at : at + 2] != b"\x08\0":  # size of an address, of a segment selector
            return None
        at += 2
    code_factor, at = uleb(data, at)
    data_factor, at = sleb(data, at)
    register, at = (data[at], at + 1) if version == 1 else uleb(data, at)
    pointers: int | None = PE_ABSPTR
    if augmentation[:1] == b"z":
        size, at = uleb(data, at)
        if at + size > len(data):
            return None
        pointers = _pointers(data[: at + size], at, augmentation[1:], address)
        at += size
    elif augmentation:
        return None
    if pointers is None or register != RETURN:
        return None
    initial = run(data[at:], Factors(code_factor, data_factor))[-1][1]
    return Cie(Factors(code_factor, data_factor, initial), pointers, bool(augmentation))


def _pointers(data: bytes, at: int, letters: bytes, address: int) -> int | None:
    """Return how addresses are encoded, as augmentation data says it letter by letter."""
    found = PE_ABSPTR
    for letter in letters.decode("latin-1"):
        if letter in "SBG":  # signal frame; of aarch64: signed with key B, tagged stack
            continue
        if letter not in "RLP" or at >= len(data):
            return None
        encoding, at = data[at], at + 1
        if letter == "R":
            found = encoding
        elif letter == "P" and encoding != PE_OMIT:  # of no use here, but it is to be skipped
            _, at = pointer(data, at, encoding, address, data_base=0)
    known = found & PE_RELATIVE in (PE_ABSPTR, PE_PCREL) and found < PE_INDIRECT
    return found if known else None
