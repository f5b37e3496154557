"""From what call frame instructions say to the rule of a row (:mod:`workbench.unwind.rows`).

Expressions are DWARF 5, section 2.5. Of all that they could say, those are told apart that
linkers, compilers and C libraries write.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from workbench.errors import ObjectFormatError
from workbench.unwind.cfi import RBP, RBX, RSP, State, Undefined, Where
from workbench.unwind.encodings import sleb
from workbench.unwind.rows import (
    CFA_SHIFT,
    MAX_CFA,
    MAX_RBP,
    MAX_RBX,
    RBP_SHIFT,
    RBX_LOST,
    RBX_SHIFT,
    RULE_SHIFT,
    UNIT,
    Rule,
    pack,
)

_DEREF = 0x06  # DW_OP_deref
_BREG = 0x70  # DW_OP_breg0: the register's value and a signed offset
# elf_x86_64_eh_frame_plt of GNU ld: breg7 8; breg16 0; lit15; and; litN; ge; lit3; shl; plus
_PLT = re.compile(rb"\x77\x08\x80\x00\x3f\x1a([\x30-\x40])\x2a\x33\x24\x22", re.DOTALL)
# Where the frame of a signal handler has rsp, rip and rbp, from its ucontext on: 40 bytes up to
# uc_mcontext, then struct sigcontext_64, arch/x86/include/uapi/asm/sigcontext.h.
_SIGNAL_RSP, _SIGNAL_RIP, _SIGNAL_RBP = 160, 168, 120
_RETURN_BELOW_CFA = -8
NOWHERE = -(1 << 62)
"""Stands for None among numbers."""
_RULES = {RSP: Rule.RSP, RBP: Rule.RBP, RBX: Rule.RBX}


def rule_bits(state: State) -> int:
    """Return a row at offset 0 that says what a state says.

    A row of :attr:`~workbench.unwind.rows.Rule.BAD` where no rule does.
    """
    if state.returns == Undefined.UNDEFINED:
        return pack(0, Rule.END)
    if isinstance(state.cfa, bytes):
        found = _of_expression(state.cfa, state)
    elif state.returns == _RETURN_BELOW_CFA and state.cfa in _RULES:
        found = _packed(_RULES[state.cfa], state.offset, _below(state), _rbx(state.rbx))
    else:
        found = None
    return pack(0, Rule.BAD) if found is None else found


def usual_bits(
    registers: NDArray[np.int64],
    offsets: NDArray[np.int64],
    rbp: NDArray[np.int64],
    rbx: NDArray[np.int64],
    returns: NDArray[np.int64],
) -> NDArray[np.uint64]:
    """Return what :func:`rule_bits` does, of states that are nothing but numbers.

    Parameters
    ----------
    registers, offsets : int64 arrays
        Of the CFA.
    rbp, rbx, returns : int64 arrays
        Bytes from the CFA; :data:`NOWHERE` where a state has None.
    """
    rules = np.full(len(registers), Rule.BAD, np.int64)
    for register, rule in _RULES.items():
        rules[registers == register] = rule
    below, saved = np.where(rbp == NOWHERE, 0, -rbp), np.where(rbx == NOWHERE, 0, -rbx)
    right = (rules != Rule.BAD) & (returns == _RETURN_BELOW_CFA)
    right &= (offsets % UNIT == 0) & (offsets >= 0) & (offsets // UNIT <= MAX_CFA)
    right &= (rbp == NOWHERE) | ((below % UNIT == 0) & (below > 0) & (below // UNIT <= MAX_RBP))
    told = (saved % UNIT == 0) & (saved // UNIT > RBX_LOST) & (saved // UNIT <= MAX_RBX)
    slot = np.where(rbx == NOWHERE, 0, np.where(told, saved // UNIT, RBX_LOST))
    bits = (
        rules << RULE_SHIFT
        | offsets // UNIT << CFA_SHIFT
        | below // UNIT << RBP_SHIFT
        | slot << RBX_SHIFT
    )
    return np.where(right, bits, pack(0, Rule.BAD)).astype(np.uint64)


def _packed(rule: Rule, cfa: int, below: int | None, rbx: int) -> int | None:
    if below is None or cfa % UNIT or not 0 <= cfa // UNIT <= MAX_CFA:
        return None
    return pack(0, rule, cfa // UNIT, below, rbx)


def _below(state: State) -> int | None:
    """Return the field `rbp` of a row, None where the caller's rbp cannot be told."""
    if state.rbp is None or state.rbp == Undefined.UNDEFINED:
        return 0
    if not isinstance(state.rbp, int) or state.rbp % UNIT:
        return None
    below = -state.rbp // UNIT
    return below if 0 < below <= MAX_RBP else None


def _rbx(where: Where, base: int | None = None) -> int:
    """Return the field `rbx` of a row; `base`: the register from which it counts, else the CFA."""
    if where is None:
        return 0
    if base is not None:
        place = _place(where) if isinstance(where, bytes) else None
        where = place[1] if place and place[0] == base else None
    if not isinstance(where, int) or where % UNIT:
        return RBX_LOST
    below = -where // UNIT
    return below if RBX_LOST < below <= MAX_RBX else RBX_LOST


def _of_expression(code: bytes, state: State) -> int | None:
    match = _PLT.fullmatch(code)
    if match:
        usual = state.returns == _RETURN_BELOW_CFA and state.rbp is None
        rbx = _rbx(state.rbx)
        return pack(0, Rule.PLT, match[1][0] - 0x30, rbx=rbx) if usual else None
    place = _place(code[:-1]) if code[-1:] == bytes([_DEREF]) else None
    if place is None:
        return None
    register, offset = place
    if register == RBP and state.returns == _RETURN_BELOW_CFA:
        below = 0 if state.rbp is None else 1 if _is_at(state.rbp, RBP, 0) else None
        return _packed(Rule.DRAP, -offset, below, _rbx(state.rbx, RBP))
    signal = (
        place == (RSP, _SIGNAL_RSP)
        and _is_at(state.returns, RSP, _SIGNAL_RIP)
        and _is_at(state.rbp, RSP, _SIGNAL_RBP)
    )
    return pack(0, Rule.SIGNAL) if signal else None


def _is_at(where: object, register: int, offset: int) -> bool:
    return isinstance(where, bytes) and _place(where) == (register, offset)


def _place(code: bytes) -> tuple[int, int] | None:
    """Return (register, offset) of an expression that is nothing but DW_OP_breg."""
    if not code or not _BREG <= code[0] < _BREG + 32:
        return None
    try:
        offset, end = sleb(code, 1)
    except ObjectFormatError:
        return None
    return (code[0] - _BREG, offset) if end == len(code) else None
