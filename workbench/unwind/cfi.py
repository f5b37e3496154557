"""Call frame instructions: where the caller's registers are, from instruction to instruction.

Sources: DWARF 5, section 6.4.2; Linux Standard Base Core 5.0, section 10.5 (DW_CFA_GNU_*); the
registers of x86-64: System V psABI, figure 3.36. Only what the walk needs is followed: the CFA,
rbp, rbx and the return address.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from workbench.errors import ObjectFormatError
from workbench.unwind.encodings import malformed, sleb, uleb

RBX, RBP, RSP, RETURN = 3, 6, 7, 16
MAX_PROGRAM = 1 << 20
"""Bytes of the instructions of one function; the longest that were met have some 10 kB."""
MAX_DELTA = 1 << 32
"""Bytes of code of one function: file offsets in rows have 32 bits."""


class Undefined:
    """Rules of a register that are not a place below the CFA."""

    UNDEFINED: Final = "undefined"  # there is no value; of the return address: there is no caller
    OTHER: Final = "other"  # in another register, or a computed value


Where = int | bytes | str | None
"""Where a register of the caller is: bytes from the CFA, a DWARF expression of its address,
one of :class:`Undefined`, or None: it has not changed."""


class State(NamedTuple):
    """What holds at an instruction.

    Parameters
    ----------
    cfa : int or bytes
        A register, to which `offset` is added, or a DWARF expression; -1 where it is unknown.
    offset : int
        Bytes.
    rbp, returns, rbx : Where
        The caller's rbp, the return address, and the caller's rbx.
    """

    cfa: int | bytes
    offset: int = 0
    rbp: Where = None
    returns: Where = None
    rbx: Where = None


START = State(-1)
UNKNOWN = State(-1, -1, Undefined.OTHER, Undefined.OTHER, Undefined.OTHER)
"""What holds from an instruction on that makes no sense."""


@dataclass(frozen=True)
class Factors:
    """What a CIE gives its instructions.

    Parameters
    ----------
    code, data : int
        Factors of advances and offsets.
    initial : State
        Where DW_CFA_restore goes back to.
    """

    code: int = 1
    data: int = -8
    initial: State = START


Row = tuple[int, State]


def run(code: bytes, factors: Factors) -> list[Row]:
    """Follow instructions.

    Parameters
    ----------
    code : bytes
        Of a CIE or an FDE, without what comes before them in their records.
    factors : Factors

    Returns
    -------
    list of (int, State)
        From how many bytes of machine code on a state holds. The first is at 0. From where
        instructions make no sense on, :data:`UNKNOWN` holds.
    """
    machine = _Machine(factors)
    try:
        if len(code) > MAX_PROGRAM:
            raise malformed("a function has too many instructions")
        machine.run(code)
    except (ObjectFormatError, IndexError):
        machine.rows.append((machine.delta, UNKNOWN))
    else:
        machine.mark()
    return machine.rows


class _Machine:
    """Runs instructions; `rows` are complete up to the last advance."""

    def __init__(self, factors: Factors) -> None:
        self.rows: list[Row] = []
        self.delta = 0
        self._factors = factors
        self._state = factors.initial
        self._remembered: list[State] = []

    @property
    def _state(self) -> State:
        return State(self._cfa, self._offset, self._rbp, self._returns, self._rbx)

    @_state.setter
    def _state(self, state: State) -> None:
        self._cfa, self._offset, self._rbp, self._returns, self._rbx = state

    def mark(self) -> None:
        state = self._state
        if not self.rows or self.rows[-1][1] != state:
            self.rows.append((self.delta, state))

    def run(self, code: bytes) -> None:
        # The four instructions that make up nearly all code are handled here, for speed.
        at, end = 0, len(code)
        while at < end:
            op = code[at]
            at += 1
            if op & 0xC0 == 0x40:  # DW_CFA_advance_loc
                self._advance(op & 0x3F)
            elif op & 0xC0 == 0x80:  # DW_CFA_offset
                value, at = uleb(code, at)
                self._set(op & 0x3F, value * self._factors.data)
            elif op == 0x0E:  # DW_CFA_def_cfa_offset
                self._offset = code[at]
                at += 1
                if self._offset >= 0x80:
                    self._offset, at = uleb(code, at - 1)
                self._need_register()
            elif op:  # DW_CFA_nop
                at = self._other(op, code, at)

    def _advance(self, by: int) -> None:
        if not by:
            return
        self.mark()
        self.delta += by * self._factors.code
        if self.delta > MAX_DELTA:
            raise malformed("a function is too long")

    def _set(self, register: int, where: Where) -> None:
        if register == RBP:
            self._rbp = where
        elif register == RBX:
            self._rbx = where
        elif register == RETURN:
            self._returns = where

    def _need_register(self) -> None:
        if isinstance(self._cfa, bytes):
            raise malformed("a CFA that is an expression has no offset")

    def _other(self, op: int, code: bytes, at: int) -> int:
        if op >= 0xC0:  # DW_CFA_restore
            self._restore(op & 0x3F)
        elif op == 0x0A:  # DW_CFA_remember_state
            self._remembered.append(self._state)
        elif op == 0x0B:  # DW_CFA_restore_state
            self._state = self._remembered.pop()
        elif op in _ADVANCES:
            size = _ADVANCES[op]
            if at + size > len(code):
                raise malformed("an instruction is cut off")
            self._advance(int.from_bytes(code[at : at + size], "little"))
            at += size
        elif op in _CFA:
            at = self._define(op, code, at)
        else:
            at = self._register(op, code, at)
        return at

    def _restore(self, register: int) -> None:
        initial = self._factors.initial
        if register == RBP:
            self._rbp = initial.rbp
        elif register == RBX:
            self._rbx = initial.rbx
        elif register == RETURN:
            self._returns = initial.returns

    def _define(self, op: int, code: bytes, at: int) -> int:
        """Handle what says how the CFA is found."""
        if op == 0x0F:  # DW_CFA_def_cfa_expression
            self._cfa, at = _block(code, at)
            self._offset = 0
            return at
        if op != 0x13:  # DW_CFA_def_cfa, def_cfa_register, def_cfa_sf
            if op == 0x0D:
                self._need_register()
            self._cfa, at = uleb(code, at)
        if op == 0x0C:
            self._offset, at = uleb(code, at)
        elif op != 0x0D:  # DW_CFA_def_cfa_sf, def_cfa_offset_sf
            value, at = sleb(code, at)
            self._offset = value * self._factors.data
            self._need_register()
        return at

    def _register(self, op: int, code: bytes, at: int) -> int:
        """Handle what says where a register is; the register is the first operand."""
        register, at = uleb(code, at)
        if op == 0x2E:  # DW_CFA_GNU_args_size: for landing pads only
            return at
        where: Where
        if op in _OFFSETS:
            signed, factor = _OFFSETS[op]
            value, at = sleb(code, at) if signed else uleb(code, at)
            where = value * self._factors.data * factor
        elif op == 0x10:  # DW_CFA_expression
            where, at = _block(code, at)
        elif op == 0x16:  # DW_CFA_val_expression
            _, at = _block(code, at)
            where = Undefined.OTHER
        elif op in (0x09, 0x14, 0x15):  # DW_CFA_register, val_offset, val_offset_sf
            _, at = uleb(code, at)
            where = Undefined.OTHER
        elif op == 0x07:  # DW_CFA_undefined
            where = Undefined.UNDEFINED
        elif op == 0x08:  # DW_CFA_same_value
            where = None
        elif op == 0x06:  # DW_CFA_restore_extended
            self._restore(register)
            return at
        else:  # DW_CFA_set_loc as well, which no compiler of x86-64 writes
            raise malformed(f"there is no instruction {op:#x}")
        self._set(register, where)
        return at


# DW_CFA_advance_loc1, 2, 4 and DW_CFA_MIPS_advance_loc8: bytes of their operand.
_ADVANCES = {0x02: 1, 0x03: 2, 0x04: 4, 0x1D: 8}
# DW_CFA_def_cfa, def_cfa_register, def_cfa_expression, def_cfa_sf, def_cfa_offset_sf
_CFA = (0x0C, 0x0D, 0x0F, 0x12, 0x13)
# DW_CFA_offset_extended, offset_extended_sf, GNU_negative_offset_extended: signed, factor.
_OFFSETS = {0x05: (False, 1), 0x11: (True, 1), 0x2F: (False, -1)}


def _block(code: bytes, at: int) -> tuple[bytes, int]:
    size, at = uleb(code, at)
    if at + size > len(code):
        raise malformed("an expression is cut off")
    return code[at : at + size], at + size
