"""From frames and stacks to mappings, functions and locations.

A location is an address with all functions that are there: frames that were inlined, and the one
into which they were, are one location. Locations, functions and mappings are numbered from 1;
number 0 stands for none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.formats.pprof.numbering import number_lists, ranges, ranked

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

PYTHON = "[python]"
"""Mapping of Python functions: they have no address."""

EXTRA = ("address", "mapping", "folded", "named", "system_name", "start_line", "column")
"""Columns that frames of an imported pprof profile have besides those of every session."""

_PAGE = 4096
_BASE = 1 << 40
"""Where modules are put, one after the other: sessions keep addresses in the module."""
_TOP = (1 << 64) - 1


@dataclass(frozen=True)
class Mapping:
    """A file in memory: ``Mapping`` of profile.proto."""

    start: int
    limit: int
    offset: int
    file: str
    build_id: str
    functions: bool = True
    files: bool = True
    lines: bool = True
    inlined: bool = True


@dataclass(frozen=True)
class Places:
    """Where samples were.

    Parameters
    ----------
    mappings : sequence of Mapping
    functions : polars.DataFrame
        name, system_name, file, start_line: one row each.
    lines : polars.DataFrame
        function (number), line, column: of all locations, one after the other.
    line_offsets : numpy.ndarray
        int64, the lines of each location.
    mapping, address, folded : numpy.ndarray
        Of each location: number of its mapping, address, whether others were folded into it.
    flat, offsets : numpy.ndarray
        int32 and int64: the locations of stack ``i``, leaf first, are
        ``flat[offsets[i]:offsets[i + 1]]``. They are rows: their numbers are one more.
    """

    mappings: Sequence[Mapping]
    functions: pl.DataFrame
    lines: pl.DataFrame
    line_offsets: NDArray[np.int64]
    mapping: NDArray[np.int64]
    address: NDArray[np.uint64]
    folded: NDArray[np.bool_]
    flat: NDArray[np.int32]
    offsets: NDArray[np.int64]


def places(
    frames: pl.DataFrame,
    flat: NDArray[np.integer],
    offsets: NDArray[np.int64],
    mappings: Sequence[Mapping] | None = None,
) -> Places:
    """Return the places of stacks.

    Parameters
    ----------
    frames : polars.DataFrame
        Rows of the table ``frames``; with ``mappings`` it has the columns of :data:`EXTRA`.
    flat, offsets : numpy.ndarray
        int64, *rows* of ``frames``, leaf first: stack ``i`` is ``flat[offsets[i]:offsets[i + 1]]``.
    mappings : sequence of Mapping, optional
        Those of an imported profile; else they are made of the modules.
    """
    import polars as pl

    there = np.zeros(len(frames), np.bool_)
    there[flat] = True
    rows = (np.cumsum(there, dtype=np.int32) - 1)[flat]
    frames = frames[np.flatnonzero(there)]
    number, entries, starts, ends = _locations(frames, rows, offsets)
    last = rows[ends - 1]  # the frame that the others were inlined into
    if mappings is None:
        mappings, of_frame, address = _laid_out(frames)
        plain = frames.select(
            name="function", system_name=_system_name(), file=pl.col("file").fill_null(""),
            start_line=pl.lit(0), line=pl.col("line").fill_null(0).cast(pl.Int64),
            column=pl.lit(0), named=pl.lit(True),
        )  # fmt: skip
        folded = np.zeros(len(frames), np.bool_)
    else:
        of_frame = frames["mapping"].to_numpy().astype(np.int64)
        address = frames["address"].to_numpy().astype(np.uint64)
        folded = frames["folded"].to_numpy().astype(np.bool_)
        plain = frames.select(
            "system_name", "start_line", "column", "named", name="function",
            file=pl.col("file").fill_null(""), line=pl.col("line").fill_null(0).cast(pl.Int64),
        )  # fmt: skip
    functions, lines = _functions(plain)
    of_line, line_offsets = _lines_of(rows, starts, ends, plain["named"].to_numpy())
    return Places(
        mappings,
        functions,
        lines[of_line],
        line_offsets,
        of_frame[last],
        address[last],
        folded[last],
        number,
        entries,
    )


def _locations(
    frames: pl.DataFrame, flat: NDArray[np.int32], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the locations of all stacks, as numbers from 0 in the order of their appearance.

    Returns
    -------
    numpy.ndarray
        int32, those of all stacks, one after the other.
    numpy.ndarray
        int64, their offsets by stack.
    numpy.ndarray, numpy.ndarray
        int64: location ``i`` is ``flat[starts[i]:ends[i]]``.
    """
    import polars as pl

    inlined = (frames["kind"].cast(pl.String) == "inlined").to_numpy()
    begins = np.ones(len(flat) + 1, np.bool_)  # with the end of the last one
    begins[1:-1] = ~inlined[flat[:-1]]
    begins[offsets] = True
    starts = np.flatnonzero(begins)
    entries = np.searchsorted(starts, offsets)
    # What is one frame is known by that frame: only lists of several have to be compared.
    keys = flat[starts[:-1]]
    several = np.flatnonzero(starts[1:] - starts[:-1] > 1)
    if len(several):
        lists = starts[several], starts[several + 1]
        ends = np.concatenate([[0], np.cumsum(lists[1] - lists[0])])
        keys[several] = len(frames) + number_lists(flat[ranges(*lists)], ends)[0]
    number, first = ranked(keys)
    return number, entries, starts[first], starts[first + 1]


def _lines_of(
    flat: NDArray[np.int32],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    named: NDArray[np.bool_],
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the frames of all distinct locations, and their offsets; without unnamed ones."""
    rows = flat[ranges(starts, ends)]
    before = np.concatenate([[0], np.cumsum(named[rows])])
    return rows[named[rows]], before[np.concatenate([[0], np.cumsum(ends - starts)])]


def _functions(plain: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the distinct functions, and function, line and column of each frame."""
    import polars as pl

    keys = ["name", "system_name", "file", "start_line"]
    known = plain.filter("named").select(keys).unique(maintain_order=True)
    numbered = known.with_row_index("function", offset=1)
    lines = plain.join(numbered, on=keys, how="left", maintain_order="left")
    return known, lines.select(pl.col("function").fill_null(0), "line", "column")


def _system_name() -> pl.Expr:
    """Return the name in the symbol table, "" where it is not known.

    That of C++ and Rust is mangled, and sessions hold only what it stands for. A reader that finds
    the two equal takes the name for a mangled one, and drops what looks like C++'s parameters from
    it: of Python's ``<module>`` nothing would be left.
    """
    import polars as pl

    name = pl.col("function")
    mangled = name.str.contains(r"[:<>()]|^(_Z|_R|__Z)")
    return pl.when(mangled).then(pl.lit("")).otherwise(name)


def _laid_out(
    frames: pl.DataFrame,
) -> tuple[list[Mapping], NDArray[np.int64], NDArray[np.uint64]]:
    """Return mappings for the modules, and the number of its mapping and address of each frame."""
    import polars as pl

    kind = pl.col("kind").cast(pl.String)
    module = pl.when(kind == "python").then(pl.lit(PYTHON)).otherwise(pl.col("module"))
    absolute = kind.is_in(["kernel", "jit"]) | pl.col("module").str.starts_with("[")
    each = frames.select("build_id", "offset", module=module, absolute=absolute)
    modules = (
        each.filter(pl.col("module") != "")
        .group_by("module", "build_id", maintain_order=True)
        .agg(pl.col("absolute").any(), low=pl.min("offset"), high=pl.max("offset"))
        # A program first, as pprof takes the first mapping for it; what is no file comes last.
        .sort(
            pl.col("module").str.starts_with("["),
            pl.col("module").str.contains(r"\.so(\.|$)"),
            maintain_order=True,
        )
        .with_row_index("number", offset=1)
    )
    mappings, shifts, base = [], [0], _BASE
    for row in modules.iter_rows(named=True):
        absolute_here = row["absolute"] or row["high"] >= _BASE
        low = row["low"] // _PAGE * _PAGE
        high = min(-(-(row["high"] + 1) // _PAGE) * _PAGE, _TOP)
        shifts.append(0 if absolute_here else base)
        start, limit = (low, high) if absolute_here else (base, base + high)
        base = base if absolute_here else limit + _PAGE
        offset = start if absolute_here and not row["module"].startswith("[") else 0
        mappings.append(Mapping(start, limit, offset, row["module"], row["build_id"]))
    keys = ["module", "build_id"]
    found = each.join(modules, on=keys, how="left", maintain_order="left").select(
        pl.col("number").fill_null(0).cast(pl.Int64), python=pl.col("module") == PYTHON
    )
    number = found["number"].to_numpy()
    address = frames["offset"].to_numpy().astype(np.uint64) + np.array(shifts, np.uint64)[number]
    return mappings, number, np.where(found["python"].to_numpy(), np.uint64(0), address)
