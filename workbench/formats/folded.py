"""Folded stacks: ``comm;root;...;leaf weight`` per line, for flamegraph.pl and its relatives.

What the weights count is not in such a file; read ones are taken as samples and become the table
``cpu``, where views look first. py-spy's ``raw`` format is this one, with places in its frames, and
processes and threads at the root, which become columns (:mod:`workbench.profiles.stack_roots`).
"""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING

import numpy as np

from workbench.errors import ImportFormatError
from workbench.formats.format import Format, stack_tables
from workbench.frames.folded import folded
from workbench.frames.stacks import profiled
from workbench.profiles.profile import Profile, Samples, Value
from workbench.profiles.stack_roots import without_roots
from workbench.profiles.stack_texts import (
    folded_entries,
    in_parts,
    named_tables,
    numbers,
    places,
    text_lines,
)

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

_LINE = re.compile(rb"(?:[^\x00]*) [0-9]{1,19}\r?")
_PARTS = r"^(.*) ([0-9]{1,19})$"


def write(rec: Recording, file: IO[bytes], table: str | None) -> None:
    """Write the stacks of a table of samples, one line per distinct stack.

    The name of the thread comes first, unless none is known of any sample.
    """
    import polars as pl

    kind = table or profiled(rec)
    by = ("comm",) if _has_names(rec, kind) else ()
    stacks = folded(rec, kind=kind, by=by)
    lines = stacks.select(pl.format("{} {}\n", "stack", "weight").str.join(""))
    file.write(str(lines.item() or "").encode())


def _has_names(rec: Recording, kind: str) -> bool:
    import polars as pl

    if kind not in rec.tables or "comm" not in rec[kind].schema.names:
        return True  # what is missing, folded() says
    names = rec[kind].lazy().select(pl.col("comm").cast(pl.String).unique())
    return set(names.collect(engine="streaming").to_series().drop_nulls()) != {""}


def recognise(head: bytes) -> float:
    """Tell whether each line ends in a number; stacks of one frame are only likely."""
    if b"\0" in head:
        return 0.0
    lines = head.split(b"\n")
    whole = [line for line in (lines if len(lines) == 1 else lines[:-1]) if line.strip()]
    if not whole or not all(_LINE.fullmatch(line) for line in whole):
        return 0.0
    return 0.6 if any(b";" in line for line in whole) else 0.2


def read(file: IO[bytes]) -> Profile:
    """Read folded stacks; equal ones are added up.

    Raises
    ------
    ImportFormatError
        A line does not end in a number, or there are no stacks.
    """
    import polars as pl

    lines = text_lines(file).to_frame("line").with_row_index("number", 1)
    lines = lines.filter(pl.col("line").str.strip_chars() != "")
    if lines.is_empty():
        raise ImportFormatError("The file holds no stacks.")
    parts = pl.concat(map(_taken_apart, in_parts(lines)))
    del lines  # half a GiB is read
    parts = parts.with_columns(pl.Series("weight", numbers(parts["weight"], "A weight")))
    _check_sum(parts["weight"].to_numpy())
    unique = parts.group_by("stack", maintain_order=True).agg(pl.col("weight").sum())
    value = Value("samples", "count", unique["weight"].to_numpy())
    texts, columns = without_roots(unique["stack"])
    ids = np.arange(len(unique), dtype=np.uint32)
    if columns:  # threads that were in the same place
        distinct = texts.unique(maintain_order=True)
        ids, texts = places(texts, distinct), distinct
    frames, stacks = named_tables(*folded_entries(texts), len(texts))
    return Profile(frames, stacks, (Samples(ids, (value,), columns, table="cpu"),))


def _taken_apart(lines: pl.DataFrame) -> pl.DataFrame:
    """Return stack and weight of each line, as texts."""
    import polars as pl

    groups = pl.col("line").str.extract_groups(_PARTS)
    parts = lines.select("number", "line", stack=groups.struct[0], weight=groups.struct[1])
    wrong = parts.filter(pl.col("weight").is_null())
    if len(wrong):
        raise ImportFormatError(
            f"Line {wrong['number'][0]} is no folded stack.",
            why=f"It does not end in a blank and a number: {wrong['line'][0][:100]!r}",
        )
    return parts.select("stack", "weight")


def _check_sum(weights: np.typing.NDArray[np.int64]) -> None:
    if float(weights.sum(dtype=np.float64)) >= 2.0**63:
        raise ImportFormatError("The weights together are larger than 64 bits hold.")


FORMAT = Format(
    "folded",
    ".folded",
    "stacks with weights: flamegraph.pl, inferno, py-spy raw",
    write,
    read,
    recognise,
    tables=stack_tables,
)
