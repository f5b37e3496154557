"""From the FDEs of a file to its table of rows, by file offset."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from workbench.elf_format import PF_X, Segment
from workbench.unwind.cfi import run
from workbench.unwind.cfi_bulk import Rows, run_many
from workbench.unwind.cie import Cie
from workbench.unwind.encodings import malformed
from workbench.unwind.entries import Entries
from workbench.unwind.rows import MAX_OFFSET, RULE_SHIFT, Rule, pack, unpack
from workbench.unwind.rules import rule_bits

MAX_ROWS = 1 << 24
"""Rows of a table; those of the largest browsers have some 5 million. The BPF side can search
twice as many (WB_SEARCH_STEPS, bpf/tables.bpf.h)."""
MAX_INSTRUCTION_BYTES = 1 << 24
"""Bytes of different programs of a file; that of node has 1.5 MB."""

Source = Literal["eh_frame", "debug_frame", "both", "none"]
Status = Literal["ok", "unsupported_machine", "beyond_4_gib"]


def _no_rows() -> NDArray[np.uint64]:
    return np.zeros(0, np.uint64)


@dataclass(frozen=True)
class UnwindTable:
    """How the callers of a file's functions are found.

    Parameters
    ----------
    rows : uint64 array
        Sorted by file offset, each offset once; see :mod:`workbench.unwind.rows`. Code before
        the first row has no unwind information.
    bad_rows : int
        How many of them are of :attr:`~workbench.unwind.rows.Rule.BAD`.
    source : str
        Where they were read: "eh_frame", "debug_frame", "both" (``.debug_frame`` for the code
        that ``.eh_frame`` leaves out), or "none": at most start-up code has rows then.
    status : str
        "ok"; "unsupported_machine": only x86-64 has rows; "beyond_4_gib": code at file offsets
        that rows cannot hold has none.
    """

    rows: NDArray[np.uint64] = field(default_factory=_no_rows)
    bad_rows: int = 0
    source: Source = "none"
    status: Status = "ok"


@dataclass(frozen=True)
class Functions:
    """Pieces of code with unwind information, sorted, none overlapping another.

    Parameters
    ----------
    starts, ends : int64 arrays
        File offsets.
    programs : int64 array
        Index in the entries' `distinct`.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    programs: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)


def functions_of(entries: Entries, loads: tuple[Segment, ...]) -> Functions:
    """Place FDEs in the file.

    Where FDEs overlap, that which starts last holds, and of those that start together the first:
    what a search by start in ``.eh_frame_hdr`` finds.

    Parameters
    ----------
    entries : Entries
    loads : tuple of Segment
        Segments that are mapped; code is in those that are executable.
    """
    addresses = np.frombuffer(entries.starts, np.int64)
    lengths = np.frombuffer(entries.lengths, np.int64)
    starts = np.full(len(addresses), -1, np.int64)
    ends = starts.copy()
    for load in loads:
        if not load.flags & PF_X or load.vaddr + load.filesz >= 1 << 63 or load.offset >= 1 << 62:
            continue
        inside = (addresses >= load.vaddr) & (addresses < load.vaddr + load.filesz) & (starts < 0)
        shift = load.offset - load.vaddr
        starts[inside] = addresses[inside] + shift
        ends[inside] = np.minimum(
            addresses[inside] + lengths[inside] + shift, load.offset + load.filesz
        )
    order = np.argsort(starts, kind="stable")
    order = order[np.searchsorted(starts[order], 0) :]
    keep = np.ones(len(order), np.bool_)
    keep[1:] = np.diff(starts[order]) > 0
    order = order[keep]
    starts, ends = starts[order], ends[order]
    ends[:-1] = np.minimum(ends[:-1], starts[1:])
    programs = np.frombuffer(entries.programs, np.uint32)[order].astype(np.int64)
    return Functions(starts, ends, programs)


def outside(functions: Functions, others: Functions) -> Functions:
    """Return the functions that share no code with others."""
    before = np.searchsorted(others.ends, functions.starts, side="right")
    after = np.searchsorted(others.starts, functions.ends, side="left")
    alone = before >= after
    return Functions(functions.starts[alone], functions.ends[alone], functions.programs[alone])


def rows_of(functions: Functions, distinct: list[tuple[Cie, bytes]]) -> NDArray[np.uint64]:
    """Return the rows of functions, and an FP row where code without any begins.

    Parameters
    ----------
    functions : Functions
    distinct : list of (Cie, bytes)
        The programs of their entries.

    Raises
    ------
    ObjectFormatError
        More than :data:`MAX_ROWS`, or :data:`MAX_INSTRUCTION_BYTES` of instructions.
    """
    deltas, bits, firsts = _run_all(distinct)
    counts = np.diff(firsts)[functions.programs]
    if counts.sum() + len(functions) > MAX_ROWS:
        raise malformed(f"it makes more than {MAX_ROWS} rows")
    skipped = np.cumsum(counts) - counts
    index = np.arange(counts.sum()) + np.repeat(firsts[functions.programs] - skipped, counts)
    offsets = np.repeat(functions.starts, counts) + deltas[index]
    inside = offsets < np.repeat(functions.ends, counts)
    gaps = functions.ends[
        np.append(functions.ends[:-1] < functions.starts[1:], True)[: len(functions)]
    ]
    offsets = np.concatenate([offsets[inside], gaps])
    values = np.concatenate([bits[index[inside]], np.full(len(gaps), pack(0, Rule.FP), np.uint64)])
    return _sorted(offsets, values)


def merged(*parts: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return tables of pieces of code that do not overlap as one."""
    rows = np.concatenate(parts)
    # Where the code of one table ends and that of another begins, the latter's row holds.
    ends = unpack(rows).rule == Rule.FP
    rows = np.concatenate([rows[~ends], rows[ends]])
    offsets = (rows & np.uint64(MAX_OFFSET)).astype(np.int64)
    return _sorted(offsets, rows >> np.uint64(RULE_SHIFT) << np.uint64(RULE_SHIFT))


def bad_rows(rows: NDArray[np.uint64]) -> int:
    """Return how many rows are of :attr:`~workbench.unwind.rows.Rule.BAD`."""
    return int(np.count_nonzero(unpack(rows).rule == Rule.BAD))


def _sorted(offsets: NDArray[Any], values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Join offsets and rules; of rows at one offset the first counts, equal neighbours are one."""
    order = np.argsort(offsets, kind="stable")
    offsets, values = offsets[order], values[order]
    keep = offsets <= MAX_OFFSET
    keep[1:] &= offsets[1:] != offsets[:-1]
    rows = offsets[keep].astype(np.uint64) | values[keep]
    changes = np.ones(len(rows), np.bool_)
    rules = rows >> np.uint64(RULE_SHIFT)
    changes[1:] = rules[1:] != rules[:-1]
    return rows[changes]


def _run_all(
    distinct: list[tuple[Cie, bytes]],
) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.int64]]:
    """Run each program once: deltas and rules of all of them, and where each begins."""
    if sum(len(code) for _, code in distinct) > MAX_INSTRUCTION_BYTES:
        raise malformed(f"it has more than {MAX_INSTRUCTION_BYTES} bytes of instructions")
    many, others = run_many(distinct)
    single = _run_each(distinct, others.tolist())
    programs = np.concatenate([many.programs, single.programs])
    order = np.argsort(programs, kind="stable")
    firsts = np.searchsorted(programs[order], np.arange(len(distinct) + 1))
    deltas, bits = (np.concatenate(pair)[order] for pair in zip(many[1:], single[1:], strict=True))
    return deltas, bits, firsts


def _run_each(distinct: list[tuple[Cie, bytes]], programs: list[int]) -> Rows:
    """Run programs one by one."""
    known: dict[Any, int] = {}
    whose, deltas, bits = array("i"), array("q"), array("Q")
    for program in programs:
        cie, code = distinct[program]
        last = -1
        for delta, state in run(code, cie.factors):
            rule = known.get(state)
            if rule is None:
                rule = known[state] = rule_bits(state)
            if rule != last:
                whose.append(program)
                deltas.append(delta)
                bits.append(rule)
                last = rule
    return Rows(np.array(whose), np.array(deltas), np.array(bits))
