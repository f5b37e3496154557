"""The functions and lines in which the time of a profile is spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import ParameterError
from workbench.frames.labels import KINDS, NO_STACK, UNKNOWN, position
from workbench.frames.stacks import StackSums, default_weight, kept, stack_sums
from workbench.schema import FRAME_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
    from numpy.typing import NDArray

    from workbench.recording import Recording

BY = {
    "function": ("name", "module", "kind"),
    "line": ("name", "module", "kind", "file", "line"),
}
"""What rows can stand for, and the columns of frames that tell them apart."""


def hotspots(
    rec: Recording,
    kind: str = "cpu",
    by: str = "function",
    weight: str = "",
    frames: Sequence[str] = (),
) -> pl.DataFrame:
    """Return the functions or lines of a profile, those with the most self time first.

    Parameters
    ----------
    rec : Recording
        Needs the tables ``kind`` (stack_id, weight), ``stacks`` and ``frames``; its selection is
        honoured.
    kind : str
        Kind of events whose stacks are looked at.
    by : str
        "function" or "line".
    weight : str
        What is summed, as in :func:`workbench.frames.flame.flame_tree`.
    frames : sequence of str
        Kinds of frames to look at (:data:`workbench.schema.FRAME_KINDS`), by default all. What
        others take counts as self of the frame that called them: with ``("python",)`` a line of
        Python has the time of the interpreter and of the C code that it calls.

    Returns
    -------
    polars.DataFrame
        Stacks without any frame say nothing and are left out.

        name : str
            Function.
        module : str
            ELF file; of Python functions the source file.
        kind : str
            See :data:`workbench.schema.FRAME_KINDS`.
        file, line : str, u32
            Only by line; null where no source is known.
        self : u64
            Sum over the stacks that end in it: the time that it spent itself.
        total : u64
            Sum over the stacks that contain it, each once, however often it calls itself.
        self_share, total_share : f64
            Of all stacks.

    Raises
    ------
    MissingTableError
        A table or column is missing.
    ParameterError
        ``by`` or ``frames`` is none of those.
    """
    _, sums = stack_sums(rec, kind, (), weight or default_weight(rec, kind))
    return hotspots_of(sums, by, frames)


def hotspots_of(sums: StackSums, by: str = "function", frames: Sequence[str] = ()) -> pl.DataFrame:
    """Return the hot spots of stacks that were summed already; see :func:`hotspots`."""
    if by not in BY:
        raise ParameterError(
            f"Hot spots cannot be told by {by!r}.", advice=f"Use any of: {', '.join(BY)}."
        )
    if wrong := [one for one in frames if one not in FRAME_KINDS]:
        raise ParameterError(
            f"There are no frames of kind {', '.join(map(repr, wrong))}.",
            advice=f"Use any of: {', '.join(FRAME_KINDS)}.",
        )
    keys, of_frame = _keys(sums, BY[by])
    amounts = _sums(sums.stack, sums.amount, len(sums.offsets) - 1)
    offsets = sums.offsets
    if frames:
        keep = keys["kind"].is_in([KINDS.index(one) for one in frames]).to_numpy()[of_frame]
        of_frame, offsets = kept(of_frame, offsets, keep)
    whole = int(amounts[np.diff(sums.offsets) > 0].sum())
    return _table(keys, *_self_and_total(of_frame, offsets, amounts), by, whole)


def _keys(sums: StackSums, columns: tuple[str, ...]) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    """Return what frames are told apart by, each once, and the row of each entry of ``flat``."""
    import polars as pl

    special = pl.DataFrame({"name": [UNKNOWN, NO_STACK], "module": ["", ""], "kind": [0, 0]})
    special = special.with_columns(pl.lit(KINDS.index("unknown"), pl.UInt8).alias("kind"))
    frames = pl.concat([special, sums.frames.drop("frame_id")], how="diagonal_relaxed")
    keys = frames.select(columns).unique(maintain_order=True).with_row_index("key")
    rows = frames.select(columns).join(
        keys, on=list(columns), how="left", maintain_order="left", nulls_equal=True
    )
    at = 2 + position(sums.frames["frame_id"].to_numpy(), sums.flat)
    at[at == 1] = 0  # an id that no frame has
    at[sums.flat == -1] = 1
    return keys, rows["key"].to_numpy().astype(np.int64)[at]


def _self_and_total(
    keys: NDArray[np.int64], offsets: NDArray[np.int64], amounts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the sums of each key: over stacks that begin with it, and that contain it."""
    lengths = np.diff(offsets)
    size = int(keys.max(initial=0)) + 1
    full = lengths > 0
    own = _sums(keys[offsets[:-1][full]], amounts[full], size)
    stack = np.repeat(np.arange(len(lengths)), lengths)
    once = np.unique(stack * size + keys)
    return own, _sums(once % size, amounts[once // size], size)


def _sums(of: NDArray[np.int64], amounts: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    result = np.zeros(size, np.int64)
    np.add.at(result, of, amounts)
    return result


def _table(
    keys: pl.DataFrame, own: NDArray[np.int64], total: NDArray[np.int64], by: str, whole: int
) -> pl.DataFrame:
    import polars as pl

    found = keys.head(len(own)).with_columns(
        pl.Series("self", own).cast(pl.UInt64),
        pl.Series("total", total).cast(pl.UInt64),
        pl.col("kind").replace_strict(list(range(len(KINDS))), list(KINDS), return_dtype=pl.String),
    )
    shares = (
        pl.col(name).truediv(max(whole, 1)).alias(f"{name}_share") for name in ("self", "total")
    )
    order = ["self", "total", *BY[by]]
    return (
        found.filter(pl.col("total") > 0)
        .with_columns(shares)
        .sort(order, descending=[True, True, *[False] * len(BY[by])])
        .drop("key")
    )
