"""Folded stacks: ``comm;root;...;leaf weight`` per line, for flamegraph.pl and its relatives."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from workbench.formats.format import Format
from workbench.frames.folded import folded
from workbench.frames.stacks import profiled

if TYPE_CHECKING:
    from workbench.recording import Recording


def write(rec: Recording, file: IO[bytes], table: str | None) -> None:
    """Write the stacks of a table of samples, one line per distinct stack."""
    import polars as pl

    stacks = folded(rec, kind=table or profiled(rec))
    lines = stacks.select(pl.format("{} {}\n", "stack", "weight").str.join(""))
    file.write(str(lines.item() or "").encode())


FORMAT = Format(
    "folded", ".folded", "stacks with weights: flamegraph.pl, inferno, speedscope", write
)
