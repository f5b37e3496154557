"""Stacks of sampled records → the tables ``stacks`` and ``frames``, in a thread of its own.

Reading symbol tables takes milliseconds to seconds; meanwhile the recorder must go on draining.
So the drain loop only copies addresses and hands them over; this thread symbolises them and
gives finished batches back, which the loop writes.
"""

from __future__ import annotations

import queue
import threading
import traceback
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.schema import STACKS, arrow_schema
from workbench.symbols.resolver import UNKNOWN_ID
from workbench.symbols.symbolizer import Symbolizer

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

# Odd constants of splitmix64 (Steele, Lea, Flood 2014) seed two independent polynomial hashes;
# two stacks of a session with equal 128 bits are not to be expected before 10^19 stacks.
_SEEDS = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9)
MAX_FRAMES = 1 << 10
MAX_CPUS = 1 << 10  # WB_MAX_CPUS


def _coefficients(seed: int) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        return np.cumprod(np.full(MAX_FRAMES, seed, np.uint64), dtype=np.uint64)


_COEFFICIENTS = tuple(_coefficients(seed) for seed in _SEEDS)


@dataclass(frozen=True)
class Samples:
    """Copied records with their addresses.

    Parameters
    ----------
    records : structured array
        With ``pid``, ``kernel_depth`` and ``user_depth``.
    addresses : uint64 array
        Of all records in a row: kernel, then user, leaf first.
    """

    records: NDArray[Any]
    addresses: NDArray[np.uint64]


class StackTable:
    """Numbers stacks: equal lists of frames have equal numbers."""

    def __init__(self) -> None:
        self._ids: dict[tuple[int, int], int] = {}
        self._new: list[NDArray[np.uint32]] = []
        self._given = 0

    def ids(self, frames: NDArray[np.uint32], depths: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Return the stack id of each record.

        Parameters
        ----------
        frames : uint32 array
            Frames of all stacks in a row.
        depths : int64 array
            Frames of each stack.
        """
        starts = np.cumsum(depths) - depths
        keys = np.stack([self._hash(frames, depths, starts, c) for c in _COEFFICIENTS], axis=1)
        unique, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        numbers = np.empty(len(unique), np.uint32)
        for i, (one, two) in enumerate(unique.tolist()):
            if (one, two) not in self._ids:
                self._ids[one, two] = len(self._ids)
                at = first[i]
                self._new.append(frames[starts[at] : starts[at] + depths[at]].copy())
            numbers[i] = self._ids[one, two]
        return numbers[inverse.reshape(-1)]

    @staticmethod
    def _hash(
        frames: NDArray[np.uint32],
        depths: NDArray[np.int64],
        starts: NDArray[np.int64],
        coefficients: NDArray[np.uint64],
    ) -> NDArray[np.uint64]:
        position = np.arange(len(frames)) - np.repeat(starts, depths)
        terms = (frames.astype(np.uint64) + np.uint64(1)) * coefficients[position % MAX_FRAMES]
        sums = np.zeros(len(frames) + 1, np.uint64)
        np.cumsum(terms, out=sums[1:])
        hashes: NDArray[np.uint64] = sums[starts + depths] - sums[starts]
        return hashes

    def take(self) -> Any:
        """Return the new stacks as a record batch, or None."""
        import pyarrow as pa

        if not self._new:
            return None
        numbers = np.arange(self._given, self._given + len(self._new), dtype=np.uint32)
        offsets = np.cumsum([0, *(len(f) for f in self._new)], dtype=np.int32)
        flat = np.concatenate(self._new).astype(np.uint32)
        lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat))
        self._given += len(self._new)
        self._new = []
        return pa.RecordBatch.from_arrays([pa.array(numbers), lists], schema=arrow_schema(STACKS))


class StackWorker:
    """The thread.

    Parameters
    ----------
    make_batch : callable
        (records, stack ids) to the record batch of the samples.
    table : str
        Name of the samples' table.
    """

    def __init__(
        self, table: str, make_batch: Callable[[NDArray[Any], NDArray[np.uint32]], Any]
    ) -> None:
        self.table = table
        self.failure = ""
        self._done = np.zeros(MAX_CPUS, np.int64)
        self._submitted = np.zeros(MAX_CPUS, np.int64)
        self._make_batch = make_batch
        self._stacks = StackTable()
        self._symbolizer = Symbolizer()
        self._in: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._out: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="symbolizer", daemon=True)
        self._thread.start()

    def add_process(self, pid: int) -> None:
        """Read the mappings of a process: at its start, and again after execve."""
        self._in.put(("process", pid))

    def exited(self, pid: int) -> None:
        """Resolve what can still be resolved of a process that has ended."""
        self._in.put(("exit", pid))

    def submit(self, samples: Samples) -> None:
        """Hand samples over."""
        self._submitted += _per_cpu(samples)
        self._in.put(("samples", samples))

    @property
    def unfinished(self) -> NDArray[np.int64]:
        """Samples of each CPU that were handed over and have not come back."""
        return self._submitted - self._done

    def batches(self) -> list[tuple[str, Any]]:
        """Return finished batches: (table, record batch), in the order to write them."""
        done = []
        while True:
            try:
                done.append(self._out.get_nowait())
            except queue.Empty:
                return done

    def finish(self, timeout: float = 60.0) -> list[tuple[str, Any]]:
        """Process all that was handed over; return the last batches."""
        self._in.put(("stop", None))
        self._thread.join(timeout)
        return self.batches()

    def _run(self) -> None:
        while True:
            what, value = self._in.get()
            try:
                if what == "samples":
                    self._symbolise(value)
                elif what == "process":
                    self._symbolizer.add_process(value)
                elif what == "exit":
                    self._symbolizer.process_exited(value)
                else:
                    self._symbolizer.retry_unresolved()
            except Exception:
                self.failure = traceback.format_exc(limit=3)
            if what == "stop":
                self._give_frames()
                return

    def _symbolise(self, samples: Samples) -> None:
        records = samples.records
        kernel = records["kernel_depth"].astype(np.int64)
        depths = kernel + records["user_depth"]
        frames = self.frames(samples.addresses, kernel, depths, records["pid"])
        numbers = self._stacks.ids(frames, depths)
        self._give_frames()
        stacks = self._stacks.take()
        if stacks is not None:
            self._out.put(("stacks", stacks))
        self._out.put((self.table, self._make_batch(records, numbers)))
        self._done += _per_cpu(samples)

    def frames(
        self,
        addresses: NDArray[np.uint64],
        kernel: NDArray[np.int64],
        depths: NDArray[np.int64],
        pids: NDArray[np.uint32],
    ) -> NDArray[np.uint32]:
        """Return the frame of each address."""
        position = np.arange(len(addresses)) - np.repeat(np.cumsum(depths) - depths, depths)
        kernel_depth = np.repeat(kernel, depths)
        in_kernel = position < kernel_depth
        # The first address of each part is where it was; the others are return addresses.
        leaf = (position == 0) | (position == kernel_depth)
        pid = np.repeat(pids, depths)
        frames = np.zeros(len(addresses), np.uint32)
        if in_kernel.any():
            frames[in_kernel] = self._named(
                self._symbolizer.kernel_frames, addresses[in_kernel], leaf[in_kernel]
            )
        for one in np.unique(pid[~in_kernel]):
            mine = ~in_kernel & (pid == one)
            ask = partial(self._symbolizer.frames_for, int(one))
            frames[mine] = self._named(ask, addresses[mine], leaf[mine])
        return frames

    def _named(
        self,
        ask: Callable[..., NDArray[np.uint32]],
        addresses: NDArray[np.uint64],
        leaf: NDArray[np.bool_],
    ) -> NDArray[np.uint32]:
        """Ask the symbolizer; where it fails the frames are unknown, but no sample is lost."""
        try:
            return ask(addresses, leaf=leaf)
        except Exception:
            self.failure = traceback.format_exc(limit=3)
            return np.full(len(addresses), UNKNOWN_ID, np.uint32)

    def _give_frames(self) -> None:
        try:
            batch = self._symbolizer.new_frames()
        except Exception:
            self.failure = traceback.format_exc(limit=3)
            return
        if batch is not None and batch.num_rows:
            self._out.put(("frames", batch))


def _per_cpu(samples: Samples) -> NDArray[np.int64]:
    return np.bincount(samples.records["cpu"], minlength=MAX_CPUS)
