"""Rows of ``.init`` and ``.fini``, which are code without unwind information.

A linker joins these sections of pieces: beginnings in ``crti.o``, ends in ``crtn.o``, and between
them a few calls (System V gABI, chapter 5, "Initialization and Termination Functions"). What C
libraries and compilers put there is written by hand, the same for decades, and says nothing of its
frames: glibc's sysdeps/x86_64/crti.S and crtn.S, crt/x86_64 of musl, CRT_CALL_STATIC_FUNCTION of
GCC's crtstuff.c. So their instructions are read, one after another; where one is not known, there
are no rows.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.elf_format import PF_X, SHT_PROGBITS
from workbench.unwind.rows import MAX_OFFSET, UNIT, Rule, pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.elf import Elf

SECTIONS = (".init", ".fini")
MAX_BYTES = 1 << 10
"""Of a section; those of Debian's programs have 9 to 27."""

_PUSH, _POP = UNIT, -UNIT
# Intel SDM, volume 2. What is pushed by each, in bytes.
_KNOWN = tuple(
    (re.compile(code, re.DOTALL), pushed)
    for code, pushed in (
        (rb"\xf3\x0f\x1e\xfa", 0),  # endbr64
        (rb"\x48\x83\xec\x08", _PUSH),  # sub $8,%rsp
        (rb"\x48\x83\xc4\x08", _POP),  # add $8,%rsp
        (rb"\x50", _PUSH),  # push %rax
        (rb"[\x58-\x5a]", _POP),  # pop %rax, %rcx, %rdx
        (rb"\x48\x8b\x05.{4}", 0),  # mov n(%rip),%rax
        (rb"\x48\x85\xc0", 0),  # test %rax,%rax
        (rb"\x74.", 0),  # je
        (rb"\xff\xd0", 0),  # call *%rax
        (rb"\xff\x15.{4}", 0),  # call *n(%rip)
        (rb"\x67?\xe8.{4}", 0),  # call
        (rb"\x66?\x90|\x0f\x1f(?:\x00|\x40.|\x44\x00.)", 0),  # nop
    )
)
_RET = 0xC3


class Piece(NamedTuple):
    """A section as it is in the file.

    Parameters
    ----------
    offset : int
        In the file, bytes.
    code : bytes
    """

    offset: int
    code: bytes

    @property
    def end(self) -> int:
        """File offset behind the last byte."""
        return self.offset + len(self.code)


def pieces(elf: Elf) -> list[Piece]:
    """Return the sections of a file that start-up code may lie in, sorted, none overlapping another.

    Raises
    ------
    ObjectFormatError
        A section does not lie in the file.
    """
    found: list[Piece] = []
    executable = [load for load in elf.loads if load.flags & PF_X]
    for section in sorted(
        (elf.sections[name] for name in SECTIONS if name in elf.sections),
        key=lambda each: each.offset,
    ):
        start, end = section.offset, section.offset + section.size
        if section.type != SHT_PROGBITS or section.compressed or not 0 < section.size <= MAX_BYTES:
            continue
        inside = any(s.offset <= start and end <= s.offset + s.filesz for s in executable)
        if inside and end <= MAX_OFFSET and (not found or found[-1].end <= start):
            found.append(Piece(start, elf.section_bytes(section)))
    return found


def startup_rows(
    parts: list[Piece], covered: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]] = ()
) -> NDArray[np.uint64]:
    """Return the rows of pieces whose instructions are all known.

    Parameters
    ----------
    parts : list of Piece
    covered : sequence of (int64 array, int64 array)
        File offsets where functions with unwind information start and end, sorted, none overlapping
        another: these say more, so pieces that share code with them have no rows here.

    Returns
    -------
    uint64 array
        See :mod:`workbench.unwind.rows`.
    """
    rows: list[int] = []
    for part in parts:
        if not any(_overlap(part, *functions) for functions in covered):
            rows += _rows(part)
    return np.array(rows, np.uint64)


def _overlap(part: Piece, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> bool:
    before = np.searchsorted(ends, part.offset, side="right")
    after = np.searchsorted(starts, part.end, side="left")
    return bool(before < after)


def _rows(part: Piece) -> list[int]:
    """Follow the instructions up to the return; [] where they are not what is known."""
    at, depth = 0, UNIT  # bytes from rsp to the CFA: the return address
    rows = [pack(part.offset, Rule.RSP, 1)]
    while at < len(part.code) and part.code[at] != _RET:
        matches = ((code.match(part.code, at), pushed) for code, pushed in _KNOWN)
        end, pushed = next(((m.end(), pushed) for m, pushed in matches if m), (0, 0))
        at, depth = end, depth + pushed
        if not end or depth < UNIT:
            return []
        if pushed:
            rows.append(pack(part.offset + at, Rule.RSP, depth // UNIT))
    returns = at < len(part.code) and depth == UNIT
    return [*rows, pack(part.offset + at + 1, Rule.FP)] if returns else []
