"""Questions that wait for their answers, of which a row each comes, in any order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

    from workbench.formats.otlp.identity import Ids


class Pairs:
    """Keeps the questions that have no answer yet, and the answers that came before theirs."""

    def __init__(self) -> None:
        self._rows: list[Any] = []
        self._keys: list[Ids] = []
        self._early = np.zeros(0, np.uint64)

    def asked(self, rows: pa.RecordBatch, keys: Ids) -> None:
        """Add questions and what tells them from others."""
        early = np.isin(keys, self._early)
        if early.any():
            self._early = np.setdiff1d(self._early, keys[early])
        self._keep(rows, keys, ~early)

    def answered(self, keys: Ids) -> None:
        """Take the questions with these answers away."""
        left = keys
        rows, self._rows = self._rows, []
        before, self._keys = self._keys, []
        for kept, mine in zip(rows, before, strict=True):
            left = left[~np.isin(left, mine)]
            self._keep(kept, mine, ~np.isin(mine, keys))
        self._early = np.concatenate([self._early, left])

    def unanswered(self) -> Iterator[tuple[pa.RecordBatch, Ids]]:
        """Yield the questions that are left, with their keys."""
        yield from zip(self._rows, self._keys, strict=True)

    def _keep(self, rows: pa.RecordBatch, keys: Ids, mask: Any) -> None:
        import pyarrow as pa

        if mask.any():
            # A copy: the rows that are kept must not hold on to those that are not.
            self._rows.append(rows.take(pa.array(np.flatnonzero(mask))))
            self._keys.append(keys[mask])
