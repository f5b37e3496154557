"""Rows of unwind tables: how the BPF side finds a frame's caller, eight bytes for each change.

A table is a sorted array of unsigned 64-bit numbers. A row holds from its file offset up to that
of the next one:

====== ========= ==============================================================================
bits   field     meaning
====== ========= ==============================================================================
0–31   offset    where it starts to hold: offset in the file, not an address
32–35  rule      a :class:`Rule`
36–51  cfa       unsigned; its unit and meaning depend on the rule, see below
52–59  rbp       the caller's rbp lies 8 · `rbp` bytes below the CFA; 0: rbp has not changed
60–63  rbx       the caller's rbx, see below
====== ========= ==============================================================================

The CFA, "canonical frame address", is the value of rsp before the call (DWARF 5, section 6.4);
the return address lies at CFA - 8 under all rules that have a CFA.

========== ===================================================================================
rule       CFA, or what else it says
========== ===================================================================================
END        none: the root of a thread, it has no caller
RSP        rsp + 8 · `cfa`
RBP        rbp + 8 · `cfa`
RBX        rbx + 8 · `cfa`: ``_dl_runtime_resolve*`` and ``_dl_tlsdesc_dynamic*`` of glibc,
           which align their stacks (sysdeps/x86_64/dl-trampoline.h)
PLT        rsp + 8, and 8 more from byte `cfa` of the 16 bytes of an entry on: what the
           linkers write for .plt. `cfa` counts bytes here
SIGNAL     none: the frame of a signal handler. rsp points to ``struct ucontext``
           (include/uapi/asm-generic/ucontext.h), which holds the interrupted registers
DRAP       ``*(rbp - 8 · cfa)``: GCC's "dynamic realign argument pointer", in functions that
           align their stack. `rbp` is a flag here: 1 means that the caller's rbp is at ``*rbp``
BAD        unknown: unwind information that no rule expresses, or that is damaged
FP         no unwind information: rbp + 16, if the code keeps frame pointers
========== ===================================================================================

Where the caller's rbx lies counts only if a frame of rule RBX follows, so the walk notes the place
and reads it there. `rbx` is

- 0 if rbx has not changed;
- 2 to 15: it lies 8 · `rbx` bytes below the CFA (below rbp under rule DRAP);
- :data:`RBX_LOST`, the slot of the return address, where no rbx can be: it cannot be told. A frame
  of rule RBX that follows is the end of the walk, as if its rule was BAD.

``bpf/tables.bpf.h`` has the same in C (``enum wb_rule``, ``WB_ROW_*``); a test compares both.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

RULE_SHIFT, CFA_SHIFT, RBP_SHIFT, RBX_SHIFT = 32, 36, 52, 60
RULE_BITS, CFA_BITS, RBP_BITS, RBX_BITS = 4, 16, 8, 4
UNIT = 8
"""Bytes: what `cfa`, `rbp` and `rbx` count, a stack slot of x86-64."""
MAX_OFFSET = (1 << RULE_SHIFT) - 1
MAX_CFA = (1 << CFA_BITS) - 1
MAX_RBP = (1 << RBP_BITS) - 1
MAX_RBX = (1 << RBX_BITS) - 1
RBX_LOST = 1
"""Value of `rbx`: the caller's rbx cannot be told."""


class Rule(IntEnum):
    """How the caller is found; ``enum wb_rule``."""

    END = 0
    RSP = 1
    RBP = 2
    PLT = 3
    SIGNAL = 4
    DRAP = 5
    BAD = 6
    FP = 7
    RBX = 8


@dataclass(frozen=True)
class Fields:
    """The fields of rows, each an array of their length.

    Parameters
    ----------
    offset : uint32 array
        File offsets, bytes.
    rule : uint8 array
        Values of :class:`Rule`.
    cfa, rbp, rbx : uint16, uint8 and uint8 array
        As they are packed: mostly in units of 8 bytes.
    """

    offset: NDArray[np.uint32]
    rule: NDArray[np.uint8]
    cfa: NDArray[np.uint16]
    rbp: NDArray[np.uint8]
    rbx: NDArray[np.uint8]


def pack(offset: int, rule: Rule, cfa: int = 0, rbp: int = 0, rbx: int = 0) -> int:
    """Return a row.

    Parameters
    ----------
    offset : int
        File offset, bytes.
    rule : Rule
    cfa, rbp, rbx : int
        The fields as they are packed, see the table above.

    Raises
    ------
    ValueError
        A field does not fit its bits.
    """
    fits = 0 <= offset <= MAX_OFFSET and 0 <= cfa <= MAX_CFA
    if not (fits and 0 <= rbp <= MAX_RBP and 0 <= rbx <= MAX_RBX):
        raise ValueError(f"a row cannot hold {offset=}, {cfa=}, {rbp=}, {rbx=}")
    places = rbp << RBP_SHIFT | rbx << RBX_SHIFT
    return offset | rule << RULE_SHIFT | cfa << CFA_SHIFT | places


def unpack(rows: NDArray[np.uint64]) -> Fields:
    """Return the fields of rows.

    Parameters
    ----------
    rows : uint64 array
    """

    def field(shift: int, bits: int, kind: type[np.unsignedinteger[Any]]) -> NDArray[Any]:
        return (rows >> np.uint64(shift) & np.uint64((1 << bits) - 1)).astype(kind)

    return Fields(
        field(0, RULE_SHIFT, np.uint32),
        field(RULE_SHIFT, RULE_BITS, np.uint8),
        field(CFA_SHIFT, CFA_BITS, np.uint16),
        field(RBP_SHIFT, RBP_BITS, np.uint8),
        field(RBX_SHIFT, RBX_BITS, np.uint8),
    )


def row_at(rows: NDArray[np.uint64], offset: int) -> int:
    """Return the row that holds at a file offset; before the first row an FP row."""
    at = int(np.searchsorted(unpack(rows).offset, offset, side="right")) - 1
    return int(rows[at]) if at >= 0 else pack(0, Rule.FP)
