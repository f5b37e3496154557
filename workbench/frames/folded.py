"""Folded stacks: one line per unique stack, as flamegraph.pl and speedscope read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.frames.stacks import default_weight, stack_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from workbench.recording import Recording


def folded(
    rec: Recording, kind: str = "cpu", by: Sequence[str] = ("comm",), weight: str = ""
) -> pl.DataFrame:
    """Return the unique stacks of a recording as text.

    Parameters
    ----------
    rec : Recording
        Needs the tables ``kind`` (stack_id, weight and the columns in ``by``), ``stacks`` and
        ``frames``.
    kind : str
        Kind of events whose stacks are folded.
    by : sequence of str
        Levels above the stack: any of "comm", "pid", "tid", "cpu".
    weight : str
        What is summed, as in :func:`workbench.frames.flame.flame_tree`.

    Returns
    -------
    polars.DataFrame
        stack : str
            Groups, then functions from the root to the leaf, separated by ";". A ";" inside a
            name becomes ":", a line break a space, so that every line can be split again.
        weight : u64
            Sum of the weights of the events. Sorted by stack, each stack once.

    Raises
    ------
    MissingTableError
        A table or column is missing.
    ParameterError
        ``by`` names a column that cannot group.
    """
    import polars as pl

    table = stack_table(rec, kind, by, weight or default_weight(rec, kind))
    names = (
        pl.Series(table.labels.names, dtype=pl.String)
        .str.replace_all(";", ":", literal=True)
        .str.replace_all(r"[\r\n]", " ")
    )
    row = np.repeat(np.arange(len(table.weight)), np.diff(table.offsets))
    texts = (
        pl.DataFrame({"row": row, "name": names.gather(table.path)})
        .group_by("row", maintain_order=True)
        .agg(pl.col("name").str.join(";").alias("stack"))
    )
    weights = pl.DataFrame({"row": np.arange(len(table.weight)), "weight": table.weight})
    return (
        weights.join(texts, on="row", how="left")
        .select(pl.col("stack").fill_null(""), pl.col("weight").cast(pl.UInt64))
        .group_by("stack")
        .agg(pl.col("weight").sum())
        .sort("stack")
    )
