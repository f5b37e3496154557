"""The instructions of many functions at once: what :mod:`workbench.unwind.cfi` does one by one.

Compilers write nearly all functions with a dozen instructions. Programs of nothing else are taken
together, in arrays: where instructions begin, what they set, and where remembered states are gone
back to. That is several times as fast, and the first stacks of a program that was never met wait
for its table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.unwind.cfi import MAX_DELTA, MAX_PROGRAM, RBP, RBX, RETURN, Factors, Where
from workbench.unwind.cie import Cie
from workbench.unwind.rules import NOWHERE, usual_bits

MAX_FACTOR = 64
"""Factors of a CIE: sums of all advances fit 63 bits then."""
MAX_STEPS, MIN_TOGETHER = 256, 32
"""Programs go on side by side for so many instructions, as long as there are so many of them."""

MAX_TOGETHER = 1 << 20
"""Bytes of programs that are taken together, if there is more than one: an array takes up to eight
times as many."""

_NOP, _ADVANCE1, _ADVANCE2, _ADVANCE4, _REMEMBER, _BACK = 0x00, 0x02, 0x03, 0x04, 0x0A, 0x0B
_DEF_CFA, _DEF_REGISTER, _DEF_OFFSET, _ARGS_SIZE = 0x0C, 0x0D, 0x0E, 0x2E
_ADVANCE, _OFFSET, _RESTORE = 0x40, 0x80, 0xC0  # the upper two bits; an operand follows
_ADVANCES = {_ADVANCE1: 1, _ADVANCE2: 2, _ADVANCE4: 4}
_PADDING = 16
"""Bytes behind the last program: the longest instruction that is followed has seven."""

_Ints = NDArray[np.int64]
_Indices = NDArray[np.int32]
_Bytes = NDArray[np.uint8]
_Bools = NDArray[np.bool_]


def _lengths() -> tuple[_Bytes, _Bytes, _Bools]:
    """Return what there is to know of each instruction.

    Its bytes, 0 for others than these; whether a LEB128 number follows; whether it changes what is
    followed.
    """
    sizes, numbers, counts = np.zeros(256, np.uint8), np.zeros(256, np.uint8), np.zeros(256, bool)
    ones = [_NOP, _REMEMBER, _BACK, _DEF_CFA, _DEF_REGISTER, _DEF_OFFSET, _ARGS_SIZE]
    sizes[[*ones, *range(_ADVANCE, 256)]] = 1
    for op, size in _ADVANCES.items():
        sizes[op] = 1 + size
    numbers[[*ones[3:], *range(_OFFSET, _RESTORE)]] = 1
    counts[[*ones[1:-1], *_ADVANCES, *range(_ADVANCE, _OFFSET)]] = True
    for register in (RBP, RBX, RETURN):
        counts[[_OFFSET + register, _RESTORE + register]] = True
    return sizes, numbers, counts


_SIZES, _NUMBERS, _COUNTS = _lengths()


class Rows(NamedTuple):
    """Rows of programs, in their order.

    Parameters
    ----------
    programs : int32 array
        Which one each row is of.
    deltas : int64 array
        Bytes of machine code from which on it holds.
    bits : uint64 array
        What holds, as :func:`workbench.unwind.rules.rule_bits` tells it.
    """

    programs: _Indices
    deltas: _Ints
    bits: NDArray[np.uint64]


@dataclass
class _Code:
    """Programs in a row, and some bytes of nothing behind them.

    Parameters
    ----------
    data : uint8 array
    starts, ends : int32 arrays
    factors : list of Factors
    of : int32 array
        Index in `factors` of each program.
    plain : bool array
        Which programs can be followed here, as far as is known.
    """

    data: _Bytes
    starts: _Indices
    ends: _Indices
    factors: list[Factors]
    of: _Indices
    plain: _Bools

    @classmethod
    def of_programs(cls, distinct: list[tuple[Cie, bytes]]) -> _Code:
        data = np.frombuffer(b"".join([*(code for _, code in distinct), bytes(_PADDING)]), np.uint8)
        sizes = np.array([len(code) for _, code in distinct], np.int32)
        ends = np.cumsum(sizes, dtype=np.int32)
        known = {id(cie): cie.factors for cie, _ in distinct}
        index = {key: number for number, key in enumerate(known)}
        of = np.array([index[id(cie)] for cie, _ in distinct], np.int32)
        factors = list(known.values())
        plain = np.array([_is_plain(each) for each in factors], bool)[of]
        return cls(
            data, ends - sizes, ends, factors, of, plain & (sizes > 0) & (sizes <= MAX_PROGRAM)
        )

    def numbers(self, at: NDArray[np.integer]) -> tuple[_Ints, _Ints]:
        """Return the LEB128 numbers of at most three bytes at places, and their sizes."""
        value, size = np.zeros(len(at), np.int64), np.ones(len(at), np.int64)
        more: _Bools = np.ones(len(at), bool)
        for place in range(3):
            byte = self.data[at + place]
            value |= np.where(more, byte & 0x7F, 0).astype(np.int64) << 7 * place
            more = more & (byte >= 0x80)
            size += more
        return value, size


def run_many(distinct: list[tuple[Cie, bytes]]) -> tuple[Rows, _Ints]:
    """Follow the instructions of many programs.

    Parameters
    ----------
    distinct : list of (Cie, bytes)

    Returns
    -------
    rows : Rows
        Of the programs that could be followed; neighbours differ.
    others : int64 array
        Programs that hold other instructions, or are damaged: see :func:`workbench.unwind.cfi.run`.
    """
    parts: list[tuple[Rows, _Ints]] = []
    begin = size = 0
    for end, (_, code) in enumerate(distinct):
        size += len(code)
        if size > MAX_TOGETHER and end > begin:
            parts.append(_run_part(distinct, begin, end))
            begin, size = end, len(code)
    parts.append(_run_part(distinct, begin, len(distinct)))
    programs, deltas, bits = zip(*(rows for rows, _ in parts), strict=True)
    others = np.concatenate([others for _, others in parts])
    return Rows(np.concatenate(programs), np.concatenate(deltas), np.concatenate(bits)), others


def _run_part(distinct: list[tuple[Cie, bytes]], begin: int, end: int) -> tuple[Rows, _Ints]:
    code = _Code.of_programs(distinct[begin:end])
    at = np.flatnonzero(_reached(code, _sizes(code))).astype(np.int32)
    owner = (np.searchsorted(code.ends, at, "right")).astype(np.int32)
    first = _changes(owner)
    at, owner = (column[_COUNTS[code.data[at]] | first] for column in (at, owner))
    programs, deltas, bits = _Program(code, at, owner).rows() if len(at) else _no_rows()
    keep = code.plain[programs]
    others = np.flatnonzero(~code.plain) + begin
    return Rows(programs[keep] + np.int32(begin), deltas[keep], bits[keep]), others


def _no_rows() -> Rows:
    return Rows(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.uint64))


def _changes(values: NDArray[np.generic]) -> _Bools:
    """Return where a value differs from the one before; the first does."""
    changes: _Bools = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=changes[1:])
    return changes


def _is_plain(factors: Factors) -> bool:
    """Whether all that a CIE says is numbers, and they are sane."""
    state = factors.initial
    numbers = [state.cfa, state.offset, *(p or 0 for p in (state.rbp, state.rbx, state.returns))]
    return (
        all(isinstance(number, int) and abs(number) < MAX_DELTA for number in numbers)
        and 0 < factors.code <= MAX_FACTOR
        and abs(factors.data) <= MAX_FACTOR
    )


def _sizes(code: _Code) -> _Bytes:
    """Return the size of an instruction that begins at each byte, 0 where none does."""
    data = code.data
    op, more = data[:-_PADDING], (data >= 0x80).view(np.uint8)
    size = len(op)
    number = 1 + more[1 : size + 1] * (1 + more[2 : size + 2])
    wrong = more[1 : size + 1] & more[2 : size + 2] & more[3 : size + 3]
    counted = _NUMBERS[op]
    sizes: _Bytes = _SIZES[op] + counted * number
    sizes[(wrong & counted).view(bool)] = 0
    two = np.flatnonzero((op == _DEF_CFA) & (sizes > 0))
    _, second = code.numbers(two + sizes[two])
    sizes[two] = np.where(second > 3, 0, sizes[two] + second)
    return sizes


def _reached(code: _Code, sizes: _Bytes) -> _Bools:
    """Return at which bytes of plain programs an instruction begins."""
    reached: _Bools = np.zeros(len(sizes), bool)
    programs = np.flatnonzero(code.plain)
    at, ends = code.starts[programs], code.ends[programs]
    for _ in range(MAX_STEPS):
        if len(at) < MIN_TOGETHER:
            break
        reached[at] = True
        step = sizes[at]
        at = at + step
        going = (at < ends) & (step > 0)
        if not going.all():
            code.plain[programs[(step == 0) | (at > ends)]] = False
            at, ends, programs = at[going], ends[going], programs[going]
    for program, start, end in zip(programs.tolist(), at.tolist(), ends.tolist(), strict=True):
        steps, place, found = sizes[start:end].tolist(), 0, []
        while place < end - start and steps[place]:
            found.append(place)
            place += steps[place]
        reached[start + np.array(found, np.int64)] = True
        code.plain[program] = place == end - start
    for program in np.flatnonzero(~code.plain).tolist():
        reached[code.starts[program] : code.ends[program]] = False
    return reached


class _Program:
    """The instructions of all programs in a row: where they are, and whose."""

    def __init__(self, code: _Code, at: _Indices, owner: _Indices) -> None:
        self._code, self._at, self._owner = code, at, owner
        self._op = code.data[at]
        self._kind = code.of[owner]
        self._first = _changes(owner)
        self._index = np.arange(len(at), dtype=np.int32)

    def rows(self) -> Rows:
        code, owner = self._code, self._owner
        advance = self._advances()
        total = np.cumsum(advance)
        begins = np.flatnonzero(self._first)
        counts = np.diff(begins, append=len(owner))
        after = total - np.repeat((total - advance)[begins], counts)
        code.plain[owner[after > MAX_DELTA]] = False
        back = self._remembered()
        # What holds is told before each advance, and at the end.
        last = begins + counts - 1
        shown = np.sort(np.concatenate([2 * np.flatnonzero(advance), 2 * last + 1]))
        where = shown >> 1
        fill = _Fill(self._first, back, where, self._kind[where])
        bits = usual_bits(*self._cfa(fill), *self._places(fill))
        deltas = np.where(shown & 1, after[where], (after - advance)[where])
        programs = owner[where]
        keep = _changes(bits) | _changes(programs)
        return Rows(programs[keep], deltas[keep], bits[keep])

    def _advances(self) -> _Ints:
        """Return how many bytes of machine code lie behind each instruction."""
        op, data = self._op, self._code.data
        found = np.where(op >> 6 == _ADVANCE >> 6, op & 0x3F, 0).astype(np.int64)
        for kind, size in _ADVANCES.items():
            these = np.flatnonzero(op == kind)
            for byte in range(size):
                found[these] |= data[self._at[these] + 1 + byte].astype(np.int64) << 8 * byte
        factors: _Ints = np.array([f.code for f in self._code.factors], np.int64)
        return found * factors[self._kind]

    def _remembered(self) -> _Indices:
        """Return for DW_CFA_restore_state which DW_CFA_remember_state it goes back to, else -1.

        A program that goes back to none is not plain.
        """
        back: _Indices = np.full(len(self._op), -1, np.int32)
        these = np.flatnonzero((self._op == _REMEMBER) | (self._op == _BACK))
        if not len(these):
            return back
        begins, owner = self._op[these] == _REMEMBER, self._owner[these]
        change = np.where(begins, 1, -1)
        depth = np.cumsum(change)
        first = np.flatnonzero(_changes(owner))
        depth -= np.repeat((depth - change)[first], np.diff(first, append=len(these)))
        self._code.plain[owner[depth < 0]] = False
        # A pair are neighbours among those at one depth.
        order = np.lexsort((depth - begins, owner))
        these, begins = these[order], begins[order]
        back[these[1:][~begins[1:]]] = these[:-1][~begins[1:]]
        return back

    def _cfa(self, fill: _Fill) -> tuple[_Ints, _Ints]:
        op, code = self._op, self._code
        both = op == _DEF_CFA
        registers, offsets = both | (op == _DEF_REGISTER), both | (op == _DEF_OFFSET)
        value: _Ints = np.zeros(len(op), np.int64)
        these = np.flatnonzero(registers)
        value[these], size = code.numbers(self._at[these] + 1)
        begin = [_number(f.initial.cfa) for f in code.factors]
        register = fill(registers, value, begin)
        place = self._at + 1
        place[these] += np.where(both[these], size, 0).astype(np.int32)
        these = np.flatnonzero(offsets)
        value[these], _ = code.numbers(place[these])
        return register, fill(offsets, value, [f.initial.offset for f in code.factors])

    def _places(self, fill: _Fill) -> list[_Ints]:
        """Return where rbp, rbx and the return address are."""
        found, code = [], self._code
        value: _Ints = np.zeros(len(self._op), np.int64)
        data = np.array([f.data for f in code.factors])
        for register, begin in (
            (RBP, [_number(f.initial.rbp) for f in code.factors]),
            (RBX, [_number(f.initial.rbx) for f in code.factors]),
            (RETURN, [_number(f.initial.returns) for f in code.factors]),
        ):
            saved, restored = self._op == _OFFSET + register, self._op == _RESTORE + register
            these = np.flatnonzero(saved)
            numbers, _ = code.numbers(self._at[these] + 1)
            value[these] = numbers * data[self._kind[these]]
            these = np.flatnonzero(restored)
            value[these] = np.array(begin, np.int64)[self._kind[these]]
            found.append(fill(saved | restored, value, begin))
        return found


def _number(where: Where) -> int:
    return where if isinstance(where, int) else NOWHERE


class _Fill:
    """Finds what was set last, along the instructions and back to remembered states.

    Parameters
    ----------
    first : bool array
        Instructions that begin a program.
    back : int32 array
        Where DW_CFA_restore_state goes back to, -1 for other instructions.
    where : int64 array
        Instructions whose state is asked for.
    kind : int32 array
        Index of the initial states of each of these.
    """

    def __init__(self, first: _Bools, back: _Indices, where: _Ints, kind: _Indices) -> None:
        heads = first | (back >= 0)
        # A piece runs from a head to the next one.
        self._begin = np.flatnonzero(heads).astype(np.int32)
        self._back = back[heads]
        self._later = np.flatnonzero(self._back >= 0)
        self._remembered = self._back[self._later]
        self._from = self._piece_of(self._remembered)
        self._where, self._kind = where, kind
        self._piece = self._piece_of(where)
        self._size = len(first)

    def __call__(self, sets: _Bools, values: _Ints, initial: list[int]) -> _Ints:
        """Return what holds at the instructions that are asked for.

        Parameters
        ----------
        sets : bool array
            Instructions that set it.
        values : int64 array
            To what.
        initial : list of int
            What holds at the start of a program.
        """
        last = np.zeros(self._size, np.int32)
        these = np.flatnonzero(sets)
        last[these] = these + 1
        last = np.maximum.accumulate(last) - 1
        # What holds when a piece begins: set in the piece that it goes back to, or before that.
        source: _Indices = np.full(len(self._begin), -1, np.int32)
        parent = np.arange(len(source))
        inside = last[self._remembered] >= self._begin[self._from]
        source[self._later[inside]] = last[self._remembered[inside]]
        parent[self._later[~inside]] = self._from[~inside]
        while (parent[parent] != parent).any():
            parent = parent[parent]
        own = last[self._where]
        before = source[parent][self._piece]
        found = np.where(own >= self._begin[self._piece], own, before)
        return np.where(found >= 0, values[found], np.array(initial, np.int64)[self._kind])

    def _piece_of(self, instructions: NDArray[np.integer]) -> _Ints:
        return np.searchsorted(self._begin, instructions, "right") - 1
