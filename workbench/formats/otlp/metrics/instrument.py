"""What a metric is made of, told in a few words: a table, its columns, and how they are counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from workbench.formats.otlp.identity import Ids

Form = Literal["sum", "gauge", "histogram"]


@dataclass(frozen=True)
class Instrument:
    """A metric that is made of the rows of a table.

    Parameters
    ----------
    table, name, unit, meaning : str
        ``unit`` as UCUM writes it.
    form : str
        ``sum`` counts up, ``gauge`` keeps the last value, ``histogram`` counts how many values
        were how large.
    values : tuple of str
        Columns whose sum is the value of a row; none counts events.
    by : mapping of str to str
        Columns that tell series apart, and their attributes; those of
        :mod:`workbench.formats.otlp.metrics.conventions` are made of others.
    where : str
        SQL condition on the rows.
    factor : float
        What values are multiplied by.
    spans : callable, optional
        (people, rows) to the spans of the rows, for exemplars.
    """

    table: str
    name: str
    unit: str
    meaning: str
    form: Form = "histogram"
    values: tuple[str, ...] = ("latency",)
    by: Mapping[str, str] = field(default_factory=dict)
    where: str = ""
    factor: float = 1.0
    spans: Callable[[Any, Any], Ids] | None = None

    def columns(self) -> set[str]:
        """Return the columns without which it cannot be made."""
        import polars as pl

        asked = pl.sql_expr(self.where).meta.root_names() if self.where else []
        return {"ts", *self.values, *asked}
