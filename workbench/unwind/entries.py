"""Records of ``.eh_frame`` and ``.debug_frame``: which instructions hold for which code.

Sources: Linux Standard Base Core 5.0, sections 10.6.1 (``.eh_frame``); DWARF 5, section 6.4.1
(``.debug_frame``). In a CIE is what functions have in common, in an FDE what is one function's.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass, field

from workbench.unwind.cie import Cie, read_cie
from workbench.unwind.encodings import (
    ADDRESS_MASK,
    PAIRS,
    PE_FORMAT,
    PE_PCREL,
    malformed,
    uleb,
)

MAX_ADDRESS = 1 << 62
"""No user program is above; below it, sums of addresses and lengths fit signed 64 bits."""
MAX_CIES = 1 << 16
"""Linkers leave a handful in ``.eh_frame``; ``.debug_frame`` has one for each source file."""
_LONG = 0xFFFFFFFF
"""The length of a record whose length has 64 bits."""
_SDATA4 = 0x0B
_USUAL = struct.Struct("<IIiIB")
"""An FDE that begins its code by DW_EH_PE_pcrel | DW_EH_PE_sdata4: its length, how far before this
word its CIE is, where its code begins, how long it is, and how much augmentation data follow."""
_WORD, _LONG_WORD = struct.Struct("<I"), struct.Struct("<Q")


@dataclass(frozen=True)
class FrameSection:
    """Content of ``.eh_frame`` or ``.debug_frame``.

    Parameters
    ----------
    data : bytes
    address : int
        Where the section is in memory.
    eh : bool
        Whether it is ``.eh_frame``, whose records differ in details.
    limit : int, optional
        FDEs that are read, where the section's own end is not known.
    """

    data: bytes
    address: int = 0
    eh: bool = True
    limit: int | None = None


@dataclass
class Entries:
    """FDEs, with each different program of instructions once.

    Parameters
    ----------
    starts, lengths : array of signed 64-bit numbers
        Addresses and bytes of code, one for each FDE.
    programs : array of 32-bit numbers
        Index in `distinct`, one for each FDE.
    distinct : list of (Cie, bytes)
        The instructions.
    left_out : int
        FDEs of which nothing can be told, as their CIE has a form that is not known.
    """

    starts: array[int] = field(default_factory=lambda: array("q"))
    lengths: array[int] = field(default_factory=lambda: array("q"))
    programs: array[int] = field(default_factory=lambda: array("I"))
    distinct: list[tuple[Cie, bytes]] = field(default_factory=list)
    left_out: int = 0


def read_entries(section: FrameSection) -> Entries:
    """Return the FDEs of a section.

    Time and memory grow with the size of the section and with nothing else.

    Raises
    ------
    ObjectFormatError
        Records reach beyond the section.
    """
    return _Reader(section).read()


class _Reader:
    def __init__(self, section: FrameSection) -> None:
        self._section = section
        self._data = section.data
        self._entries = Entries()
        self._cies: dict[int, Cie | None] = {}
        self._usual_cies: dict[int, Cie] = {}
        self._known: dict[tuple[int, bytes], int] = {}

    def read(self) -> Entries:
        data, size, count = self._data, len(self._data), 0
        limit = self._section.limit
        at = 0
        while at + 4 <= size and count != limit:
            if at + _USUAL.size <= size and (end := self._usual(at)):
                at = end
                count += 1
                continue
            (length,) = _WORD.unpack_from(data, at)
            if not length:
                # A terminator. The linker leaves those of its input in the midst of a section.
                if limit is not None:
                    break
                at += 4
                continue
            wide = length == _LONG
            content, end = self._bounds(at, length)
            if self._record(at, content, end, wide=wide and not self._section.eh):
                count += 1
            at = end
        return self._entries

    def _usual(self, at: int) -> int:
        """Take an FDE of the form that nearly all have, and return its end; 0 if it has another.

        It is for speed, and tells nothing that :meth:`_record` does not.
        """
        length, back, start, code_length, more = _USUAL.unpack_from(self._data, at)
        end: int = at + 4 + length
        cie_at = at + 4 - back
        cie = self._usual_cies.get(cie_at)
        start = start + self._section.address + at + 8 & ADDRESS_MASK
        if (
            cie is None
            or more
            or not code_length
            or not at + _USUAL.size <= end <= len(self._data)
            or not 0 < start < MAX_ADDRESS
        ):
            return 0
        code, entries = self._data[at + _USUAL.size : end], self._entries
        entries.starts.append(start)
        entries.lengths.append(code_length)
        entries.programs.append(self._program(cie_at, cie, code))
        return end

    def _bounds(self, at: int, length: int) -> tuple[int, int]:
        content = at + 4
        if length == _LONG and content + 8 <= len(self._data):
            (length,) = _LONG_WORD.unpack_from(self._data, content)
            content += 8
        if length < 4 or content + length > len(self._data):
            raise malformed("a record reaches beyond the end of its section")
        return content, content + length

    def _record(self, at: int, content: int, end: int, *, wide: bool) -> bool:
        """Take a record; return whether it is an FDE.

        The CIE pointer of ``.eh_frame`` has 32 bits, even where lengths have 64.
        """
        data, eh = self._data, self._section.eh
        body = content + (8 if wide else 4)
        if body > end:
            raise malformed("a record is too short")
        (identity,) = (_LONG_WORD if wide else _WORD).unpack_from(data, content)
        if identity == (0 if eh else ADDRESS_MASK if wide else _LONG):
            if len(self._cies) >= MAX_CIES:
                raise malformed(f"it has more than {MAX_CIES} CIEs")
            cie = self._cies[at] = read_cie(data[body:end], self._section.address + body)
            if cie is not None and eh and cie.augmented and cie.pointers == PE_PCREL | _SDATA4:
                self._usual_cies[at] = cie
            return False
        # Only CIEs that were met are known: each is read once, whatever FDEs point to.
        cie_at = content - identity if eh else identity
        cie = self._cies.get(cie_at)
        if cie is None or not self._fde(cie_at, cie, body, end):
            self._entries.left_out += 1
        return True

    def _fde(self, cie_at: int, cie: Cie, body: int, end: int) -> bool:
        data, entries = self._data, self._entries
        pair = PAIRS.get(cie.pointers & PE_FORMAT)
        if pair is None or body + pair.size + cie.augmented > end:
            return False
        start, length = pair.unpack_from(data, body)
        if cie.pointers & PE_PCREL:
            start = self._section.address + body + start & ADDRESS_MASK
        code = body + pair.size
        if cie.augmented:
            skipped = data[code]
            code += 1
            if skipped >= 0x80:
                skipped, code = uleb(data, code - 1)
            code += skipped
        if not (0 < start < MAX_ADDRESS and length < MAX_ADDRESS and code <= end):
            return not start or not length  # of a function that the linker has left out
        if length:
            entries.starts.append(start)
            entries.lengths.append(length)
            entries.programs.append(self._program(cie_at, cie, data[code:end]))
        return True

    def _program(self, cie_at: int, cie: Cie, code: bytes) -> int:
        known = self._known.get((cie_at, code))
        if known is None:
            known = self._known[cie_at, code] = len(self._entries.distinct)
            self._entries.distinct.append((cie, code))
        return known
