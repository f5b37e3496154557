"""What each thread does: below ``--- threadz N ---`` threads, each with its stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.formats.pprof.legacy.build import Legacy
from workbench.formats.pprof.legacy.cpu import DROP_FRAMES, calls
from workbench.formats.pprof.legacy.maps import mappings
from workbench.formats.pprof.legacy.text import addresses, refused

if TYPE_CHECKING:
    import polars as pl

_THREAD = r"^--- Thread [0-9a-fA-F]+ \(name: .*/[0-9]+\) stack: ---"
_NO_MORE = "---- no stack trace for"
_SAME = "same as previous thread"


def read(lines: pl.Series, maps: pl.Series) -> Legacy:
    """Read threads: those whose stack is said to be as that of the one before are one with it.

    Raises
    ------
    ImportFormatError
        What begins with ``---`` is no thread.
    """
    import polars as pl

    begins = lines.str.starts_with("---")
    rows = lines.to_frame("line").with_columns(part=begins.cum_sum(), begin=begins)
    threadz = lines[0].startswith("--- threadz")
    rows = rows.filter(pl.col("part") > int(threadz))  # before them are words for people
    ends = rows.filter(pl.col("line").str.starts_with(_NO_MORE))["part"]
    if len(ends):
        rows = rows.filter(pl.col("part") < ends[0])
    wrong = rows.filter(pl.col("begin") & ~pl.col("line").str.contains(_THREAD))["line"]
    if len(wrong):
        raise refused(f"no thread begins with {wrong[0][:80]!r}")
    rows = rows.with_columns(
        same=pl.col("line").str.contains(_SAME, literal=True) & ~pl.col("begin")
    )
    # What is hexadecimal in the lines of a thread, behind its first one, are its addresses.
    text = pl.when(pl.col("begin")).then(pl.lit("")).otherwise("line")
    each = rows.group_by("part", maintain_order=True).agg(
        text.str.join(" ").alias("text"), pl.col("same").any()
    )
    text = pl.when("same").then(pl.lit("")).otherwise("text")
    flat, offsets = addresses(each.select(text.alias("text")).to_series())
    own = np.diff(offsets) > 0
    before = np.cumsum(own)
    counts = np.bincount(before, minlength=int(own.sum()) + 1)[1:]  # before the first: none
    kind = ("thread", "count")
    starts = np.concatenate([[0], offsets[1:][own]])
    return Legacy(
        (kind,),
        counts.astype(np.int64).reshape(-1, 1),
        (calls(flat, starts), starts),
        (*kind, 1),
        mappings=mappings(maps),
        drop_frames=DROP_FRAMES,
    )
