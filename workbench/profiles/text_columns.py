"""Texts by row, where few of them may stand in many rows: a long one would be copied for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiles.content import too_large

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_BYTES = 1 << 30
"""Bytes of all rows of a column; names of functions have some 50."""


def taken(texts: Any, rows: NDArray[np.int64]) -> Any:
    """Return the text of each row.

    Parameters
    ----------
    texts : pyarrow.Array
        Strings.
    rows : numpy.ndarray
        int64, places in `texts`; null for negative ones.

    Returns
    -------
    pyarrow.Array
        Of the type of `texts`.

    Raises
    ------
    ImportFormatError
        All together they are longer than :data:`MAX_BYTES`.
    """
    import polars as pl
    import pyarrow.compute as pc

    lengths = np.append(np.asarray(pc.binary_length(texts).fill_null(0), np.int64), 0)
    _check(int(lengths[np.maximum(rows, -1)].sum()))
    # pyarrow's take() reserves the mean length for each row: the longest text would count for all.
    places = pl.Series(rows)
    found = pl.Series(texts).gather(places.set(places < 0, None) if (rows < 0).any() else places)
    return found.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(texts.type)


def column(values: Sequence[str | None]) -> Any:
    """Return texts as a pyarrow array.

    Raises
    ------
    ImportFormatError
        All together they are longer than :data:`MAX_BYTES`.
    """
    import pyarrow as pa

    _check(sum(len(each) for each in values if each is not None))
    return pa.array(values, pa.string())


def _check(size: int) -> None:
    if size > MAX_BYTES:
        raise too_large(f"Texts of its samples or frames take more than {MAX_BYTES:,} bytes.")
