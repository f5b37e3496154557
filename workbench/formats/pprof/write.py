"""A session, or a selection of one, as a pprof profile."""

from __future__ import annotations

from dataclasses import replace
from typing import IO, TYPE_CHECKING

import numpy as np

from workbench.formats.pprof.encode import encode
from workbench.formats.pprof.header import header, imported, kept_header, mappings
from workbench.formats.pprof.places import places
from workbench.formats.pprof.sample_types import LabelType, Valued
from workbench.formats.pprof.sums import summed
from workbench.formats.pprof.values import chosen_table, valued
from workbench.frames.needs import has, need
from workbench.table import collected

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from workbench.recording import Recording

_KIND = LabelType("kind", "", "kind")
_COMMAND = LabelType("comm", "", "command")


def write_plain(rec: Recording, file: IO[bytes], table: str | None) -> None:
    """Write the stacks of a table as an uncompressed profile; the same session, the same bytes.

    Samples with the same stack, thread and labels are one.

    Raises
    ------
    ExportError
        The table has no stacks.
    MissingTableError
    """
    name = chosen_table(rec, table)
    known = valued(rec, name)
    told = imported(rec, name)
    rows, frames, flat, offsets = summed(rec, known, ordered=told is not None)
    if told is None:
        known, rows = _with_command(rec, known, rows)
        kinds = _kind_of_leaf(frames, flat, offsets)
        rows = rows.with_columns(kinds[rows["stack"].to_numpy()].alias("kind"))
        known = _labelled(known, _KIND)
    where = places(frames, flat, offsets, None if told is None else mappings(told))
    said = header(rec, name, where) if told is None else kept_header(rec, told)
    encode(file, said, known, rows, where)


def _with_command(rec: Recording, known: Valued, rows: pl.DataFrame) -> tuple[Valued, pl.DataFrame]:
    """Add the name of each process: that of its main thread, as it was last."""
    import polars as pl

    if not has(rec, "processes") or "pid" not in rows.columns:
        return known, rows
    names = (
        need(rec, "processes", "ts", "pid", "tid", "comm")
        .filter(pl.col("pid") == pl.col("tid"))
        .sort("ts", maintain_order=True)
        .group_by("pid")
        .agg(pl.col("comm").last().cast(pl.String).alias("command"))
    )
    named = collected(rows.lazy().join(names, on="pid", how="left", maintain_order="left"))
    return _labelled(known, _COMMAND), named


def _labelled(known: Valued, label: LabelType) -> Valued:
    return replace(known, labels=(*known.labels, label))


def _kind_of_leaf(
    frames: pl.DataFrame, flat: NDArray[np.int32], offsets: NDArray[np.int64]
) -> pl.Series:
    """Return what kind of code each stack ends in; what is inlined is native."""
    import polars as pl

    kinds = frames["kind"].replace("inlined", "native")
    leaves = np.full(len(offsets) - 1, len(frames) - 1)
    full = offsets[1:] > offsets[:-1]
    leaves[full] = flat[offsets[:-1][full]]
    return pl.Series(kinds.gather(leaves))
