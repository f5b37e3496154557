"""What some requests of profiles hold, as columns: what is read of them, before it is merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.formats.otlp.reading.messages import Integers

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

Attributes = Mapping[str, Any]


class Kind(NamedTuple):
    """What makes samples one table."""

    type: str
    unit: str
    period_type: str
    period_unit: str
    period: int
    name: str
    """Of the profile in the session that the workbench exported; else ""."""


@dataclass(frozen=True)
class Rows:
    """Observations of one kind.

    Parameters
    ----------
    stack, amount, ts : numpy.ndarray
        int64: stack of the batch, value, time in ns UTC (0 where it is not known).
    columns : dict of str to pyarrow.Array
    """

    stack: Integers
    amount: Integers
    ts: Integers
    columns: dict[str, Any]


@dataclass(frozen=True)
class Batch:
    """What some requests hold.

    Parameters
    ----------
    frames : polars.DataFrame
        See :func:`workbench.formats.otlp.reading.read_frames.frames`.
    flat, offsets : numpy.ndarray
        Rows of ``frames`` of each stack, leaf first.
    rows : dict of Kind to Rows
    units, keys : dict of str to str
        Units of columns, and the attributes that they were.
    start, end : int
        When the profiles were taken, ns UTC; 0 where that is not told.
    empty : int
        Samples without a value and a time.
    resources, scopes, profiles : sequence of mappings
        Their attributes.
    """

    frames: pl.DataFrame
    flat: NDArray[np.uint32]
    offsets: Integers
    rows: dict[Kind, Rows]
    units: dict[str, str]
    keys: dict[str, str]
    start: int
    end: int
    empty: int
    resources: Sequence[Attributes] = ()
    scopes: Sequence[Attributes] = ()
    profiles: Sequence[Attributes] = ()
