"""Off-CPU periods: records with two stacks, and the periods that are open at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.event_texts import STACK_STATUSES
from workbench.recorder.open_events import OpenEvents
from workbench.recorder.stack_source import StackSource
from workbench.recorder.stack_words import Samples, add_python_status, word_counts
from workbench.schema import TYPEDEFS, Column, arrow_field

if TYPE_CHECKING:
    from numpy.typing import NDArray


WAKER_STACK = "waker_stack_id"
_HEAD = ("kernel_depth", "user_depth", "python_depth", "stack_status")


class OffcpuSource(OpenEvents, StackSource):
    """The kind ``offcpu``."""

    held_in = ("slots", "slot")

    def _schema(self) -> Any:
        import pyarrow as pa

        usual = super()._schema()
        m = TYPEDEFS["wb_stack_id"]
        text = "stack of the thread that woke it, null where none was taken"
        waker = arrow_field(Column(WAKER_STACK, m.arrow, m.unit, text, nullable=True))
        at = usual.get_field_index("stack_id") + 1
        return pa.schema([*list(usual)[:at], waker, *list(usual)[at:]])

    def _convert(self, span: Any, records: NDArray[Any]) -> list[tuple[str, Any]]:
        words, counts = span.tails(self.layout.dtype.itemsize)
        self._submit(records.copy(), words, counts)
        return self._worker.batches()

    def _submit(
        self, records: NDArray[Any], words: NDArray[np.uint64], counts: NDArray[np.int64]
    ) -> None:
        """Hand records over; ``counts`` are the words behind each, the last of them padding."""
        wakers = waker_records(records)
        own, more = word_counts(records), word_counts(wakers)
        position = np.arange(len(words)) - np.repeat(np.cumsum(counts) - counts, counts)
        split, end = np.repeat(own, counts), np.repeat(own + more, counts)
        mine, theirs = words[position < split], words[(position >= split) & (position < end)]
        add_python_status(records, mine)
        add_python_status(wakers, theirs)
        records["waker_stack_status"] = wakers["stack_status"]
        statuses = np.minimum(records["stack_status"], len(STACK_STATUSES) - 1)
        np.add.at(self._ended, (records["cpu"], statuses), 1)
        submit = self._worker.submit
        if not more.any():
            submit(Samples(self.table, self._make_batch, records, mine))
            return
        both, words = np.concatenate([records, wakers]), np.concatenate([mine, theirs])
        submit(Samples(self.table, self._make_pairs, both, words, stacks=2))

    def _make_batch(self, records: NDArray[Any], stacks: NDArray[np.uint32]) -> Any:
        import pyarrow as pa

        return self._batch(records, stacks, pa.nulls(len(records), pa.uint32()))

    def _make_pairs(self, records: NDArray[Any], stacks: NDArray[np.uint32]) -> Any:
        """Make a batch of records that come twice: with the thread's and with its waker's stack."""
        import pyarrow as pa

        n = len(records) // 2
        none = word_counts(records[n:]) == 0
        return self._batch(records[:n], stacks[:n], pa.array(stacks[n:], pa.uint32(), mask=none))

    def _batch(self, records: NDArray[Any], stacks: NDArray[np.uint32], wakers: Any) -> Any:
        ones = np.ones(len(records), np.uint32)
        return self._batcher.batch(records, stack_id=stacks, waker_stack_id=wakers, weight=ones)

    def _open(
        self, entries: NDArray[Any], now: int, min_ns: int
    ) -> tuple[NDArray[Any], NDArray[np.uint64], NDArray[np.int64]]:
        return open_periods(entries, entries["event"], self.layout.dtype, now, min_ns)

    def _hand_over(self, records: NDArray[Any], *more: Any) -> list[tuple[str, Any]]:
        self._submit(records, *more)
        return []


def waker_records(records: NDArray[Any]) -> NDArray[Any]:
    """Return records that tell of the wakers what ``records`` tell of the threads themselves."""
    wakers = records.copy()
    wakers["pid"], wakers["tid"] = records["waker_pid"], records["waker_tid"]
    for name in _HEAD:
        wakers[name] = records[f"waker_{name}"]
    return wakers


def open_periods(
    slots: NDArray[Any], events: NDArray[np.uint64], event: np.dtype[Any], now: int, min_ns: int
) -> tuple[NDArray[Any], NDArray[np.uint64], NDArray[np.int64]]:
    """Return the periods that are still open.

    Parameters
    ----------
    slots : structured array
        ``struct slot`` of ``bpf/offcpu.bpf.c``.
    events : uint64 array of shape (slots, words)
        The event of each, with its words behind it.
    event : numpy.dtype
        Of the event.
    now : int
        Time of the boot clock, ns: the end of the periods.
    min_ns : int
        Shorter periods are left out.

    Returns
    -------
    records : structured array
        Events.
    words : uint64 array
        Words of all in a row.
    counts : int64 array
        Words of each.
    """
    size = event.itemsize // 8
    heads = np.ascontiguousarray(events[:, :size]).view(event)[:, 0].copy()
    still = (slots["off"] != 0) & (heads["ts"] + np.uint64(min_ns) <= now)
    slots, records = slots[still], heads[still]
    woken = np.where(slots["woken"] == 0, np.uint64(now), np.minimum(slots["woken"], now))
    records["blocked"] = woken - records["ts"]
    records["runnable"] = np.uint64(now) - woken
    records["open"] = 1
    known = slots["confirmed"] != 0
    records["waker_pid"] = np.where(known, slots["wake_pid"], 0)
    records["waker_tid"] = np.where(known, slots["wake_tid"], 0)
    records["waker"] = np.where(known, slots["wake_context"], 0)
    for name in _HEAD[:3]:
        records[f"waker_{name}"] = 0
    words = events[still][:, size:]
    counts = word_counts(records)
    return records, words[np.arange(words.shape[1]) < counts[:, None]], counts
