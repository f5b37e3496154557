"""Stacks of sampled records → the tables ``stacks`` and ``frames``, in a thread of its own.

Reading symbol tables takes milliseconds to seconds; meanwhile the recorder must go on draining.
So the drain loop only copies words and hands them over; this thread symbolises them and gives
finished batches back, which the loop writes. One thread serves all kinds of a session, as they
share the two tables.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.event_texts import STACK_STATUSES, WHOLE_STACKS
from workbench.recorder.stack_table import StackTable
from workbench.recorder.stack_words import Parts, Samples, split
from workbench.symbols.resolver import UNKNOWN_ID
from workbench.symbols.symbolizer import Symbolizer

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from workbench.recorder.python_service import PythonService
    from workbench.symbols.first_look import Look
    from workbench.symbols.frame_table import FrameTable

WAIT_SHARE, WAIT_S = 0.3, 1.0
"""Most of the time that the thread gives way: a share of it, after a first second."""
MAX_CPUS = 1 << 10  # WB_MAX_CPUS
WHOLE = [STACK_STATUSES.index(status) for status in WHOLE_STACKS]


def _no_samples() -> NDArray[np.int64]:
    return np.zeros(MAX_CPUS, np.int64)


class StackWorker:
    """The thread.

    Attributes
    ----------
    gives_way : threading.Event, optional
        Names wait until it is set, but not for long: what is done before that is wanted sooner.
    """

    def __init__(self) -> None:
        self.gives_way: threading.Event | None = None
        self._wait_left_s, self._wait_counted_at = WAIT_S, time.monotonic()
        self.failure = ""
        self._done: dict[str, NDArray[np.int64]] = defaultdict(_no_samples)
        self._submitted: dict[str, NDArray[np.int64]] = defaultdict(_no_samples)
        self._stacks = StackTable()
        self._symbolizer = Symbolizer()
        self.python: PythonService | None = None
        self._in: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._out: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="symbolizer", daemon=True)
        self._thread.start()

    def add_process(self, pid: int, look: Look | None = None, parent: int = 0) -> None:
        """Read the mappings of a process: at its start, and again after execve.

        Parameters
        ----------
        pid : int
        look : Look, optional
            What was seen of it when it started; taken over.
        parent : int, optional
            The process that forked it.
        """
        self._in.put((self._add_process, (pid, look, parent)))

    def exited(self, pid: int) -> None:
        """Resolve what can still be resolved of a process that has ended."""
        self._in.put((self._symbolizer.process_exited, pid))

    def add_image(self, number: int, pid: int, path: str, source: int | bytes) -> None:
        """Take an image that words may name from now on.

        Parameters
        ----------
        number : int
        pid : int
            A process that runs it.
        path : str
            As that process sees it.
        source : int or bytes
            A descriptor, which is taken over, or the content.
        """
        self._in.put((self._take_image, (number, pid, path, source)))

    @property
    def frame_table(self) -> FrameTable:
        """All frames of the session."""
        return self._symbolizer.table

    def add_codes(self, records: list[bytes]) -> None:
        """Take announced code objects of Python."""
        if self.python is not None and records:
            self._in.put((self.python.add_codes, records))

    def submit(self, samples: Samples) -> None:
        """Hand samples over."""
        self._submitted[samples.table] += _per_cpu(samples)
        self._in.put((self._symbolise, samples))

    def unfinished(self, table: str) -> NDArray[np.int64]:
        """Samples of each CPU that were handed over for a table and have not come back."""
        return self._submitted[table] - self._done[table]

    def batches(self) -> list[tuple[str, Any]]:
        """Return finished batches: (table, record batch), in the order to write them."""
        done = []
        while True:
            try:
                done.append(self._out.get_nowait())
            except queue.Empty:
                return done

    def finish(self, timeout: float = 60.0) -> list[tuple[str, Any]]:
        """Process all that was handed over, and return the last batches; the thread goes on."""
        self.gives_way = None
        idle = threading.Event()
        self._in.put((self._finish, idle))
        idle.wait(timeout)
        return self.batches()

    def close(self, timeout: float = 1.0) -> None:
        """End the thread, which may be busy for longer than the wait. Safe to call twice."""
        self._in.put((None, None))
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            what, value = self._in.get()
            if what is None:
                self._symbolizer.close()
                return
            try:
                what(value)
            except Exception:
                self.failure = traceback.format_exc(limit=3)

    def _finish(self, idle: threading.Event) -> None:
        try:
            self._symbolizer.retry_unresolved()
        except Exception:
            self.failure = traceback.format_exc(limit=3)
        self._give_frames()
        idle.set()

    def _wait(self) -> None:
        """Give way, for a share of the time."""
        event, now = self.gives_way, time.monotonic()
        earned = WAIT_SHARE * (now - self._wait_counted_at)
        self._wait_left_s, self._wait_counted_at = min(WAIT_S, self._wait_left_s + earned), now
        if event is not None and not event.is_set() and self._wait_left_s > 0:
            event.wait(self._wait_left_s)
            self._wait_left_s -= time.monotonic() - now

    def _symbolise(self, samples: Samples) -> None:
        self._wait()
        parts, records = split(samples), samples.records
        frames, depths = self.frames(parts, records["pid"]), parts.depths
        if self.python is not None:
            self.python.look_again(parts, records["pid"])
        if self.python is not None and len(parts.python):
            self._give_frames()  # from which it learns what they are
            complete = np.isin(records["stack_status"], WHOLE)
            frames, depths = self.python.merge(frames, parts, records["pid"], complete)
        frames, depths = self._expand(frames, depths)
        self._give_frames()
        numbers = self._stacks.ids(frames, depths)
        stacks = self._stacks.take()
        if stacks is not None:
            self._out.put(("stacks", stacks))
        self._out.put((samples.table, samples.make_batch(samples.records, numbers)))
        self._done[samples.table] += _per_cpu(samples)

    def _add_process(self, process: tuple[int, Look | None, int]) -> None:
        self._symbolizer.add_process(*process)

    def _take_image(self, image: tuple[int, int, str, int | bytes]) -> None:
        self._symbolizer.add_image(*image)

    def frames(self, parts: Parts, pids: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Return the frame of each native word."""
        in_kernel, exact = parts.in_kernel, parts.exact
        pid = np.repeat(pids, parts.depths)
        frames = np.zeros(len(parts.native), np.uint32)
        if in_kernel.any():
            frames[in_kernel] = self._named(
                self._symbolizer.kernel_frames, parts.native[in_kernel], exact[in_kernel]
            )
        places, images = parts.offsets, parts.images
        in_file = images > 0
        if in_file.any():
            ask = partial(self._symbolizer.image_frames, images[in_file])
            frames[in_file] = self._named(ask, places[in_file], exact[in_file])
        elsewhere = ~in_kernel & ~in_file
        for one in np.unique(pid[elsewhere]):
            mine = elsewhere & (pid == one)
            ask = partial(self._symbolizer.frames_for, int(one))
            frames[mine] = self._named(ask, places[mine], exact[mine])
        return frames

    def _expand(
        self, frames: NDArray[np.uint32], depths: NDArray[np.int64]
    ) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Put inlined functions into stacks; where that fails the stacks stay as they are."""
        try:
            expanded, counts = self._symbolizer.expand(frames)
        except Exception:
            self.failure = traceback.format_exc(limit=3)
            return frames, depths
        before = np.concatenate([[0], np.cumsum(counts)])
        ends = np.cumsum(depths)
        return expanded, before[ends] - before[ends - depths]

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
            if self.python is not None:
                self.python.learn(batch)
            self._out.put(("frames", batch))


def _per_cpu(samples: Samples) -> NDArray[np.int64]:
    return np.bincount(samples.cpus, minlength=MAX_CPUS)
