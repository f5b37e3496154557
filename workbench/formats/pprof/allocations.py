"""Allocations as Go's profiles of the heap have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.formats.pprof.sample_types import (
    BYTES,
    COUNTED,
    LabelType,
    SampleType,
    Valued,
    labels_of,
)
from workbench.frames.allocations import EVENTS as MEMORY
from workbench.frames.allocations import events, with_ends
from workbench.frames.stacks import COUNT

if TYPE_CHECKING:
    from workbench.recording import Recording

_AT_ONCE = 1 << 22
"""Rows of ``memory`` among which ends of allocations are looked for at once: some 300 MB."""
_BLOCK_SIZE = LabelType("bytes", BYTES, "block")
"""Size of each block or mapping, as in Go's profiles: ``-tagfocus=bytes=1mb:`` finds large ones."""
_BLOCK_VALUES = ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")
"""Of allocations, as Go names them."""


def allocations(rec: Recording) -> Valued:
    """Return allocations as Go's heap profiles have them, and what was mapped and touched."""
    import polars as pl

    own = labels_of(rec, MEMORY)
    wanted = ("stack_id", "size", COUNT, *(label.column for label in own))
    keys = [pl.col(name) for name in ("stack_id", *(label.column for label in own))]
    keys.append(pl.col("size").cast(pl.Int64).alias("block"))
    labels = (*own, _BLOCK_SIZE)
    count, lives = pl.col(COUNT).cast(pl.Int64), pl.col("freed").is_null()
    size = pl.col("size").cast(pl.Int64) * count
    shares = 1 + rec[MEMORY].written // _AT_ONCE
    blocks = [
        with_ends(rec, *wanted, share=(share, shares)).select(
            *keys,
            alloc_objects=count,
            alloc_space=size,
            inuse_objects=pl.when(lives).then(count).otherwise(0),
            inuse_space=pl.when(lives).then(size).otherwise(0),
        )
        for share in range(shares)
    ]
    parts = blocks[:1]
    names = list(_BLOCK_VALUES)
    facts = rec.manifest.kinds.get(MEMORY, {})
    ops = {"mappings": ("map", "mapped_space"), "faults": ("fault", "faulted_space")}
    for part, (op, name) in ops.items():
        if part in (facts.get("parts") or ()):
            parts.append(events(rec, op, *wanted).select(*keys, size.alias(name)))
            names.append(name)
    rows = pl.concat(parts, how="diagonal_relaxed").with_columns(pl.col(names).fill_null(0))
    # The other shares have no columns of mappings and faults.
    lacking = {name: pl.lit(0, pl.Int64) for name in names[len(_BLOCK_VALUES) :]}
    more = tuple(each.with_columns(**lacking) for each in blocks[1:])
    units = {name: COUNTED if name.endswith("objects") else BYTES for name in names}
    types = tuple(SampleType(name, unit, name) for name, unit in units.items())
    sampled = facts.get("sample_bytes")
    period = ("space", BYTES, sampled) if isinstance(sampled, int) and sampled > 0 else None
    return Valued(rows, types, labels, "alloc_space", period, more)
