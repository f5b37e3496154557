"""What the frames of a profile are called: one label per function, module and kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.frames.needs import need
from workbench.schema import FRAME_KINDS

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

KINDS = (*FRAME_KINDS, "group")
"""Kinds of nodes: those of frames, then "group" (the root, a thread name, a pid, a CPU)."""

GROUPS = ("comm", "pid", "tid", "cpu", "state")
"""Columns that samples can be grouped by, above the stack."""

_TEXTS = ("comm", "state")

NO_STACK = "[no stack]"
UNKNOWN = "[unknown]"
NO_NAME = "[no name]"
_UNKNOWN_KIND = FRAME_KINDS.index("unknown")
_GROUP_KIND = KINDS.index("group")
_DENSE = 1 << 26
"""Ids below this are looked up in an array (at most 256 MiB), larger ones by search."""


@dataclass(frozen=True)
class Labels:
    """Names that nodes can have: sorted by name, module and kind, each once.

    Parameters
    ----------
    names, modules : list of str
        One entry per label.
    kinds : numpy.ndarray
        uint8, index into :data:`KINDS`.
    """

    names: list[str]
    modules: list[str]
    kinds: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.names)


def named_frames(rec: Recording) -> pl.DataFrame:
    """Return frame_id, name, module, kind (number), file and line, ordered by frame_id.

    The module of a Python frame is its source file: all of them run in the same interpreter.
    """
    import polars as pl

    source = pl.col("file").fill_null("")
    kind = pl.col("kind").cast(pl.String).fill_null("unknown")
    return (
        need(rec, "frames", "frame_id", "function", "module", "file", "line", "kind")
        .unique("frame_id", keep="last")
        .sort("frame_id")
        .select(
            pl.col("frame_id").cast(pl.Int64),
            pl.col("function").fill_null("").replace("", UNKNOWN).alias("name"),
            pl.when((kind == "python") & (source != ""))
            .then(source)
            .otherwise(pl.col("module").fill_null(""))
            .alias("module"),
            kind.replace_strict(
                list(FRAME_KINDS),
                list(range(len(FRAME_KINDS))),
                default=_UNKNOWN_KIND,
                return_dtype=pl.UInt8,
            ).alias("kind"),
            "file",
            "line",
        )
        .collect()
    )


def group_texts(values: pl.Series) -> pl.Series:
    """Return what a group is called: a text itself, or "pid 12"."""
    import polars as pl

    if values.name in _TEXTS:
        return values.cast(pl.String).fill_null("").replace("", NO_NAME)
    return values.cast(pl.String).str.replace("^", f"{values.name} ").fill_null(NO_NAME)


def make_labels(frames: pl.DataFrame, groups: list[pl.Series]) -> tuple[Labels, Any, list[Any]]:
    """Make the label table; return it, a function from frame ids to labels, group labels."""
    import polars as pl

    special = pl.DataFrame(
        {"name": [UNKNOWN, NO_STACK], "module": ["", ""], "kind": [_UNKNOWN_KIND] * 2},
        schema_overrides={"kind": pl.UInt8},
    )
    parts = [frames.select("name", "module", "kind"), special]
    for texts in groups:
        unique = texts.unique().alias("name").to_frame()
        parts.append(
            unique.with_columns(
                pl.lit("").alias("module"), pl.lit(_GROUP_KIND, pl.UInt8).alias("kind")
            )
        )
    table = pl.concat(parts).unique().sort("name", "module", "kind").with_row_index("label")
    labels = Labels(
        table["name"].to_list(), table["module"].to_list(), table["kind"].to_numpy().copy()
    )

    def find(wanted: pl.DataFrame) -> NDArray[np.int64]:
        joined = wanted.join(
            table, on=["name", "module", "kind"], how="left", maintain_order="left"
        )
        return joined["label"].to_numpy().astype(np.int64)

    ids = frames["frame_id"].to_numpy().astype(np.int64)
    unknown, no_stack = find(special)
    by_position = np.concatenate([[unknown], find(frames.select("name", "module", "kind"))])

    def frame_label(flat: NDArray[np.int64]) -> NDArray[np.int64]:
        result: NDArray[np.int64] = by_position[1 + position(ids, flat)]
        result[flat == -1] = no_stack
        return result

    group_labels = [
        find(
            texts.alias("name")
            .to_frame()
            .with_columns(pl.lit("").alias("module"), pl.lit(_GROUP_KIND, pl.UInt8).alias("kind"))
        )
        for texts in groups
    ]
    return labels, frame_label, group_labels


def position(ids: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the position of each wanted id in the sorted ``ids``, -1 where it is absent."""
    if not len(ids):
        return np.full(len(wanted), -1, np.int64)
    if int(ids[-1]) < _DENSE:
        table = np.full(int(ids[-1]) + 2, -1, np.int32)
        table[ids] = np.arange(len(ids), dtype=np.int32)
        inside = (wanted >= 0) & (wanted <= ids[-1])
        return table[np.where(inside, wanted, ids[-1] + 1)].astype(np.int64)
    at = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[at] == wanted, at, -1)
