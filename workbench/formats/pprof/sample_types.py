"""What a sample is worth, and what is known of it: of which a profile is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import polars as pl

    from workbench.recording import Recording
    from workbench.table import Table

NANOSECONDS = "nanoseconds"
BYTES = "bytes"
COUNTED = "count"


@dataclass(frozen=True)
class SampleType:
    """One value of every sample: its name and unit, and the column that holds it."""

    name: str
    unit: str
    column: str


@dataclass(frozen=True)
class LabelType:
    """What is known of every sample: the label's key and unit, and the column that holds it."""

    key: str
    unit: str
    column: str


@dataclass(frozen=True)
class Rows:
    """Rows of a table that are a sample each.

    Parameters
    ----------
    table : Table
    made : mapping of str to polars.Expr
        Columns that are made of those of the same row.
    """

    table: Table
    made: Mapping[str, pl.Expr]

    def lazy(self) -> pl.LazyFrame:
        """Return the rows as a query."""
        return self.table.lazy().with_columns(**self.made)

    def slices(self, columns: Sequence[str], rows: int) -> Iterator[pl.DataFrame]:
        """Yield these columns, of the table or made, as :meth:`Table.slices` does."""
        wanted = [name for name in columns if name not in self.made]
        for column in columns:
            if column in self.made:
                wanted += self.made[column].meta.root_names()
        for part in self.table.slices(list(dict.fromkeys(wanted)), rows):
            yield part.with_columns(**self.made).select(columns)


@dataclass(frozen=True)
class Valued:
    """The samples of a table.

    Parameters
    ----------
    rows : Rows or polars.LazyFrame
        ``stack_id``, a column for each of ``types`` (int64) and of ``labels``.
    types : tuple of SampleType
    labels : tuple of LabelType
    default : str
        Name of the type that is meant where nothing is said.
    period : (str, str, int), optional
        Type, unit and number: between two samples lie so many of that.
    more : tuple of polars.LazyFrame
        Samples that are not in `rows`, with the same columns: to be summed one frame after the
        other, because all at once would take too much memory.
    """

    rows: Rows | pl.LazyFrame
    types: tuple[SampleType, ...]
    labels: tuple[LabelType, ...]
    default: str
    period: tuple[str, str, int] | None = None
    more: tuple[pl.LazyFrame, ...] = ()

    @property
    def query(self) -> pl.LazyFrame:
        """``rows`` as a query."""
        return self.rows.lazy()


_LABELS = {"comm": "thread", "pid": "pid", "tid": "tid", "state": "state", "name": "name"}
"""Columns that become labels, and the labels' keys."""


def labels_of(rec: Recording, table: str) -> tuple[LabelType, ...]:
    """Return the labels that a table of what was recorded here has."""
    there = set(rec[table].schema.names)
    return tuple(LabelType(key, "", name) for name, key in _LABELS.items() if name in there)
