"""Drains a program's buffers in bulk while it runs, and keeps what it sent as Arrow."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import WorkbenchError
from workbench.probe.column_type import table_columns
from workbench.probe.perfbuf import PerfBuffer
from workbench.probe.ringbuf import RingBuffer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.cells.engine import Outlet
    from workbench.probe.span import Span

PERF_BYTES = 4 << 20
"""Of each CPU's perf buffer: 10 ms of a million events a second of 200 bytes fill half of it."""
INTERVAL_S = 0.01
MAX_BYTES = 1 << 30
"""Of the events of one buffer that are kept in memory."""


class Stream:
    """What one buffer sent.

    Parameters
    ----------
    name : str
    outlet : Outlet
    max_bytes : int
        Of events that are kept; those that come later are dropped, and counted.

    Attributes
    ----------
    delivered, forgotten : int
        Events that were kept, and that were dropped because there were too many.
    """

    def __init__(self, name: str, outlet: Outlet, max_bytes: int = MAX_BYTES) -> None:
        self.name, self.event, self.max_bytes = name, outlet.event, max_bytes
        self.is_ring = outlet.is_ring
        self.delivered = self.forgotten = self.bytes = 0
        self._chunks: list[tuple[NDArray[np.uint8], NDArray[np.int64]]] = []
        self._lock = threading.Lock()
        self._table: tuple[int, Any] | None = None
        self._buffer: RingBuffer | PerfBuffer
        if outlet.is_ring:
            self._buffer = RingBuffer(outlet.map.fd, outlet.map.max_entries)
        else:
            self._buffer = PerfBuffer(outlet.map, PERF_BYTES, PERF_BYTES // 4)

    def drain(self) -> None:
        """Take what waits."""
        for span in self._buffer.drain():
            rows, lengths = copied(span)
            if self.bytes + rows.nbytes > self.max_bytes:
                self.forgotten += len(lengths)
                continue
            with self._lock:
                self._chunks.append((rows, lengths))
                self.delivered += len(lengths)
                self.bytes += rows.nbytes

    @property
    def lost(self) -> int:
        """Events that the kernel told of as lost."""
        return self._buffer.lost

    def arrow(self) -> Any:
        """What came so far, in the order in which it was taken out of the buffers.

        Returns
        -------
        pyarrow.Table
            A column for each member of the struct; ``data``, bytes, where its type is not known
            or the records are longer than it.
        """
        import pyarrow as pa

        with self._lock:
            chunks = list(self._chunks)
        if self._table is not None and self._table[0] == len(chunks):
            return self._table[1]
        size = self.event.size if self.event else 0
        longest = max((int(lengths.max()) for _, lengths in chunks), default=size)
        # A sample's length is rounded up so that it ends on 8 bytes behind its 4 bytes of length.
        fits = longest <= (size if self.is_ring else (size + 11) // 8 * 8 - 4)
        if self.event is None or not fits:
            parts = [pa.table({"data": _binary(*chunk)}) for chunk in chunks]
            made = (
                pa.concat_tables(parts) if parts else pa.table({"data": pa.array([], pa.binary())})
            )
        else:
            event = self.event
            parts = [
                pa.table(table_columns(event, "value", _widened(rows, size))) for rows, _ in chunks
            ]
            empty = pa.table(table_columns(event, "value", np.empty((0, size), np.uint8)))
            made = pa.concat_tables([empty, *parts])
        self._table = (len(chunks), made)
        return made

    def close(self) -> None:
        """Unmap the buffer; what came stays."""
        self._buffer.close()


class Collector:
    """Drains streams from a thread of its own.

    Parameters
    ----------
    streams : list of Stream
    """

    def __init__(self, streams: list[Stream]) -> None:
        self.streams = streams
        self._stop = threading.Event()
        self.error: WorkbenchError | None = None
        self._thread = threading.Thread(target=self._run, name="workbench-cell", daemon=True)
        if streams:
            self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            try:
                self._drain()
            except WorkbenchError as error:  # told by stop(); the cell's own thread shows it
                self.error = error
                return

    def _drain(self) -> None:
        for stream in self.streams:
            stream.drain()

    def end(self) -> None:
        """End the thread. Safe to call twice."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def stop(self) -> None:
        """End the thread and take the rest.

        Raises
        ------
        BufferFormatError
            A buffer's content made no sense.
        """
        self.end()
        if self.error is not None:
            raise self.error
        self._drain()


def copied(span: Span) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Copy records out of a buffer.

    Returns
    -------
    rows : uint8 array of shape (records, longest)
        Shorter ones are filled with zeros.
    lengths : int64 array
    """
    lengths = np.array(span.lengths)
    width = int(lengths.max())
    if span.step:
        shape, strides = (len(span), width), (span.step, 1)
        view = np.ndarray(shape, np.uint8, span.data, int(span.offsets[0]), strides)
        return view.copy(), lengths
    rows = np.zeros((len(span), width), np.uint8)
    for length in np.unique(lengths):  # few: a program sends few sizes
        which = np.flatnonzero(lengths == length)
        at = span.offsets[which][:, None] + np.arange(length)
        rows[which, :length] = span.data[at]
    return rows, lengths


def _widened(rows: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    if rows.shape[1] >= size:
        return rows[:, :size]
    return np.pad(rows, ((0, 0), (0, size - rows.shape[1])))


def _binary(rows: NDArray[np.uint8], lengths: NDArray[np.int64]) -> Any:
    import pyarrow as pa

    keep = np.arange(rows.shape[1]) < lengths[:, None]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(rows[keep]))]
    return pa.Array.from_buffers(pa.binary(), len(lengths), buffers)
