"""Which thread name held when: lookup of (thread, time) in the table ``processes``.

The name of an event is that of the latest row of ``processes`` with the event's thread and a
time not after the event's; else of the thread's earliest row; else the same for the process;
else the empty string. A fork, an exec and a rename each leave a row, so a thread has few rows,
and within one batch of events nearly every thread keeps one name. :class:`CommIndex` uses
that: it looks up the name of every thread once per batch, and only the events of threads that
changed their name within the batch are searched one by one, all by numpy.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DIRECT = 1 << 23
"""Thread ids below this are looked up in an array: twice the kernel's PID_MAX_LIMIT (2^22)."""


class CommIndex:
    """Names of threads over time.

    Parameters
    ----------
    tid : ndarray of uint32, shape (n,)
        Thread of each row.
    ts : ndarray of int64, shape (n,)
        Time from which the row holds, ns UTC.
    code : ndarray of int32, shape (n,)
        Index of the row's name in `values`.
    values : list of str
        Distinct names; ``values[0]`` is ``""``, for threads that are not known.
    """

    def __init__(
        self,
        tid: NDArray[np.uint32],
        ts: NDArray[np.int64],
        code: NDArray[np.int32],
        values: list[str],
    ) -> None:
        order = np.lexsort((ts, tid))
        tid, ts, code = tid[order], ts[order], code[order]
        changed = np.ones(len(tid), bool)
        changed[1:] = (tid[1:] != tid[:-1]) | (code[1:] != code[:-1])
        tid, self._ts, self._code = tid[changed], ts[changed], code[changed]
        self.values = values
        self._tids, self._first = np.unique(tid, return_index=True)
        self._last = np.append(self._first[1:], len(tid)) - 1
        self._slot = np.repeat(np.arange(len(self._tids)), self._last - self._first + 1)
        self._times = np.unique(self._ts)
        self._keys = self._key(self._slot, np.searchsorted(self._times, self._ts) + 1)
        self._direct = self._direct_slots()

    @classmethod
    def from_batches(cls, batches: Iterable[Any]) -> CommIndex:
        """Build the index from record batches of the table ``processes``."""
        import pyarrow as pa

        columns = ["tid", "ts", "comm"]
        table = pa.Table.from_batches([batch.select(columns) for batch in batches])
        encoded = table["comm"].combine_chunks().dictionary_encode()
        code = encoded.indices.fill_null(-1).to_numpy().astype(np.int32) + 1
        values = ["", *encoded.dictionary.to_pylist()]
        tid = table["tid"].to_numpy()
        ts = table["ts"].cast(pa.int64()).to_numpy()
        return cls(tid, ts, code, values)

    @classmethod
    def empty(cls) -> CommIndex:
        """Return an index that knows no thread."""
        none = np.zeros(0, np.int64)
        return cls(none.astype(np.uint32), none, none.astype(np.int32), [""])

    def lookup(
        self, tid: NDArray[np.uint32], ts: NDArray[np.int64], pid: NDArray[np.uint32] | None = None
    ) -> NDArray[np.int32]:
        """Return the name of each event, as index into :attr:`values`.

        Parameters
        ----------
        tid, pid : ndarray of uint32, shape (n,)
            Threads and their processes.
        ts : ndarray of int64, shape (n,)
            Times of the events in any order, ns UTC.

        Returns
        -------
        ndarray of int32, shape (n,)
        """
        if not len(tid) or not len(self._tids):
            return np.zeros(len(tid), np.int32)
        slot = self._slots(tid)
        if pid is not None and slot.min() < 0:
            unknown = slot < 0
            slot[unknown] = self._slots(pid[unknown])
        codes = self._many(slot, ts) if len(slot) > len(self._tids) else self._each(slot, ts)
        codes[slot < 0] = 0
        return codes

    def _many(self, slot: NDArray[np.int64], ts: NDArray[np.int64]) -> NDArray[np.int32]:
        """Look up each thread once, then the events of threads that changed in between."""
        threads = np.arange(len(self._tids))
        low = self._rows(threads, np.full(len(threads), ts.min()))
        high = self._rows(threads, np.full(len(threads), ts.max()))
        codes = self._code[low][slot]
        changing = (low != high)[slot]
        if changing.any():
            codes[changing] = self._each(slot[changing], ts[changing])
        return codes

    def _each(self, slot: NDArray[np.int64], ts: NDArray[np.int64]) -> NDArray[np.int32]:
        codes: NDArray[np.int32] = self._code[self._rows(slot, ts)]
        return codes

    def _rows(self, slot: NDArray[np.int64], ts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the row that holds for a thread at a time; any row for slot -1."""
        key = self._key(slot, np.searchsorted(self._times, ts, side="right"))
        row = np.searchsorted(self._keys, key, side="right") - 1
        return np.maximum(row, self._first[slot])

    def _key(self, slot: NDArray[np.int64], rank: NDArray[np.int64]) -> NDArray[np.int64]:
        """Order by thread, then by time (as rank among the times of all rows)."""
        return slot * (len(self._times) + 1) + rank

    def _slots(self, tid: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Return the place of each thread in the index, -1 for an unknown one."""
        if len(self._direct):
            return self._direct[np.minimum(tid, np.uint32(len(self._direct) - 1))]
        slot = np.minimum(np.searchsorted(self._tids, tid), len(self._tids) - 1)
        return np.where(self._tids[slot] == tid, slot, -1)

    def _direct_slots(self) -> NDArray[np.int64]:
        """Return slots by thread id (the last one stands for all above), or nothing."""
        if not len(self._tids) or self._tids[-1] >= _DIRECT:
            return np.zeros(0, np.int64)
        slots = np.full(int(self._tids[-1]) + 2, -1, np.int64)
        slots[self._tids] = np.arange(len(self._tids))
        return slots
