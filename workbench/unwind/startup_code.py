"""Rows of start-up code, which has no unwind information.

Compilers and C libraries link a few functions into every program that say nothing of their frames:
``.init`` and ``.fini``, joined of pieces (glibc's sysdeps/x86_64/crti.S and crtn.S, crt/x86_64 of
musl), and between functions of the program those of GCC's libgcc/crtstuff.c, which run when a file
is loaded and unloaded: deregister_tm_clones, register_tm_clones, __do_global_dtors_aux,
frame_dummy. Where a gap in the unwind information holds nothing but instructions of such code, its
rows follow from these.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.elf_format import PF_X, SHT_PROGBITS, Section
from workbench.unwind.rows import MAX_OFFSET, RULE_SHIFT, Rule, pack

if TYPE_CHECKING:
    from workbench.elf import Elf
    from workbench.unwind.table import UnwindTable

SECTIONS = (".init", ".fini")
GAPS = range(64, 1 << 10)
"""Bytes of a gap that is looked at. The functions of crtstuff.c have 130 to 190 together; smaller
gaps are what aligns functions."""
MAX_GAPS = 256
"""Of a file; the most that were met are 111."""

# Effects: a word on the stack, or off it; the end of a function; none, and of what aligns code.
_PUSH, _PUSH_RBP, _POP, _LEAVE, _REST, _NOP = range(6)
# Intel SDM, volume 2.
_KNOWN = tuple(
    (re.compile(code, re.DOTALL), effect)
    for effect, codes in (
        (_PUSH, (rb"\x48\x83\xec\x08", rb"\x50")),  # sub $8,%rsp; push %rax
        (_PUSH_RBP, (rb"\x55",)),
        (_POP, (rb"\x48\x83\xc4\x08", rb"[\x58-\x5a\x5d]")),  # add $8,%rsp; pop %rax to %rdx, %rbp
        (_LEAVE, (rb"\xc3", rb"\xff\xe0", rb"\xe9.{4}", rb"\xeb.")),  # ret; jmp *%rax; jmp
        (_NOP, (rb"\x66*\x2e?(?:\x90|\x0f\x1f(?:\x00|\x40.|\x44..|\x80.{4}|\x84.{5}))",)),
        (_NOP, (rb"\0+\Z",)),  # between sections
        (
            _REST,
            (
                rb"\xf3\x0f\x1e\xfa",  # endbr64
                rb"\x48(?:\x8b[\x05\x3d]|\x8d[\x05\x35\x3d]).{4}",  # mov, lea n(%rip)
                rb"[\xb8\xbe\xbf].{4}",  # mov $n,%eax, %esi, %edi
                rb"\x48(?:\x85\xc0|\x39\xf8|\x3d.{4})",  # test %rax,%rax; cmp with %rax
                rb"\x80\x3d.{5}|\x48\x83\x3d.{5}",  # cmpb, cmpq $n,n(%rip)
                rb"\x48(?:\x29\xfe|\x81\xee.{4}|\x01\xc6)",  # sub, add to %rsi
                rb"\x48(?:\xc1\xee\x3f|\xc1\xf8\x03|\xd1\xfe)",  # shr $63,%rsi; sar
                rb"\x48\x89[\xf0\xe5]",  # mov %rsi,%rax; mov %rsp,%rbp
                rb"\xc6\x05.{5}",  # movb $n,n(%rip)
                rb"[\x74\x75].",  # je, jne
                rb"\xff\xd0|\xff\x15.{4}|\x67?\xe8.{4}",  # call
            ),
        ),
    )
    for code in codes
)
_SHORT_JUMPS = b"\x74\x75\xeb"


class _State(NamedTuple):
    pushed: int  # words behind the return address
    saves_rbp: bool


_BARE = _State(0, saves_rbp=False)


class Piece(NamedTuple):
    """Code as it is in the file.

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


def with_startup_code(elf: Elf, table: UnwindTable) -> UnwindTable:
    """Return a table with the rows of start-up code added.

    Raises
    ------
    ObjectFormatError
        The code does not lie in the file.
    """
    rows = table.rows
    for find in (sections, gaps):
        for piece in find(elf, rows):
            found = rows_of_code(piece)
            rows = _added(rows, found) if found else rows
    return table if rows is table.rows else replace(table, rows=rows)


def sections(elf: Elf, rows: NDArray[np.uint64]) -> list[Piece]:
    """Return the sections of a file that hold start-up code without unwind information."""
    offsets = _offsets(rows)
    found: list[Piece] = []
    for section in (elf.sections[name] for name in SECTIONS if name in elf.sections):
        start, end = section.offset, section.offset + section.size
        plain = section.type == SHT_PROGBITS and not section.compressed
        if not plain or not 0 < section.size < GAPS.stop or not _executable(elf, start, end):
            continue
        at = int(np.searchsorted(offsets, start, side="right"))
        alone = at == len(offsets) or offsets[at] >= end
        apart = all(end <= other.offset or other.end <= start for other in found)
        if apart and alone and (not at or _is_fp(rows[at - 1])):
            found.append(Piece(start, elf.section_bytes(section)))
    return found


def gaps(elf: Elf, rows: NDArray[np.uint64]) -> list[Piece]:
    """Return the pieces of code between functions that have unwind information."""
    offsets = _offsets(rows).astype(np.int64)
    if not len(rows):
        return []
    # A library may begin with them, before the first row.
    starts = (load.offset for load in elf.loads if load.flags & PF_X and load.offset <= offsets[0])
    begins = np.append(max(starts, default=offsets[0]), offsets[:-1])
    sizes = offsets - begins
    fp = np.append(True, rows[:-1] >> np.uint64(RULE_SHIFT) == Rule.FP)
    wide = np.flatnonzero(fp & (sizes >= GAPS.start) & (sizes < GAPS.stop))
    found = []
    for start, size in zip(begins[wide][:MAX_GAPS].tolist(), sizes[wide].tolist(), strict=False):
        if _executable(elf, start, start + size):
            code = elf.section_bytes(Section(0, "gap", SHT_PROGBITS, 0, 0, start, size, 0, 0, 0))
            plain = code.lstrip(b"\0")  # what aligns .text
            found.append(Piece(start + size - len(plain), plain))
    return found


def rows_of_code(piece: Piece) -> list[int]:
    """Return the rows of a piece of code, [] if not all of its instructions are known."""
    at, state, last = 0, _BARE, _REST
    states: dict[int, _State] = {}  # before each instruction
    jumps: list[tuple[int, _State]] = []
    while at < len(piece.code):
        states[at] = state
        end, effect = _instruction(piece.code, at)
        following = _after(state, effect)
        if following is None:
            return []
        if piece.code[at] in _SHORT_JUMPS:
            jumps.append((end + int.from_bytes(piece.code[end - 1 : end], signed=True), state))
        at, state, last = end, following, last if effect == _NOP else effect
    if last != _LEAVE or any(states.get(target) != state for target, state in jumps):
        return []
    rows = [
        pack(piece.offset + place, Rule.RSP, 1 + state.pushed, 2 * state.saves_rbp)
        for (place, state), previous in zip(states.items(), [None, *states.values()], strict=False)
        if state != previous
    ]
    return [*rows, pack(piece.end, Rule.FP)] if rows else []


def _instruction(code: bytes, at: int) -> tuple[int, int]:
    """Return where an instruction ends and its effect, -1 if it is not known."""
    for known, effect in _KNOWN:
        match = known.match(code, at)
        if match:
            return match.end(), effect
    return at, -1


def _after(state: _State, effect: int) -> _State | None:
    """Return what holds behind an instruction; None if this is no start-up code."""
    if effect in (_REST, _NOP):
        return state
    if effect in (_PUSH, _PUSH_RBP):
        return None if state.pushed else _State(1, effect == _PUSH_RBP)
    # They pop what they pushed before they leave; another function begins there.
    right = state.pushed if effect == _POP else effect == _LEAVE and not state.pushed
    return _BARE if right else None


def _added(rows: NDArray[np.uint64], more: list[int]) -> NDArray[np.uint64]:
    """Put the rows of a piece of code into the gap of a table where it lies."""
    first, end = more[0] & MAX_OFFSET, more[-1] & MAX_OFFSET
    offsets = _offsets(rows)
    begin, following = np.searchsorted(offsets, first), np.searchsorted(offsets, end)
    if following < len(rows) and offsets[following] == end:
        more = more[:-1]
    found = np.concatenate([rows[:begin], np.array(more, np.uint64), rows[following:]])
    rules = found >> np.uint64(RULE_SHIFT)
    changes: NDArray[np.bool_] = np.append(True, rules[1:] != rules[:-1])
    return found[changes]


def _offsets(rows: NDArray[np.uint64]) -> NDArray[np.uint32]:
    return rows.astype(np.uint32)  # their lower halves


def _is_fp(row: np.uint64) -> bool:
    return bool(row >> np.uint64(RULE_SHIFT) == Rule.FP)


def _executable(elf: Elf, start: int, end: int) -> bool:
    """Whether a piece of the file is mapped as code, where rows can tell of it."""
    code = (s for s in elf.loads if s.flags & PF_X)
    return end <= MAX_OFFSET and any(s.offset <= start and end <= s.offset + s.filesz for s in code)
