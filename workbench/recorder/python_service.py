"""Python frames of the recorder: interpreters found by a thread, code objects drained, merged."""

from __future__ import annotations

import queue
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.probe.ringbuf import RingBuffer
from workbench.pystacks import CodeTable, PythonFrames, PythonProcesses, merge, native_class
from workbench.pystacks.interpreter import is_interpreter
from workbench.pystacks.processes import DELAYS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from workbench.probe.objects import Object
    from workbench.recorder.stack_words import Parts
    from workbench.symbols.frame_table import FrameTable

SHARED = ("wb_python", "wb_python_codes", "wb_python_announced")
"""Maps of bpf/python.bpf.h that the objects of a session share."""
POLL_S = 0.01


class PythonService:
    """Finds interpreters and names their frames.

    Finding runs in a thread of its own, as it reads ELF files. :meth:`drain` belongs to the
    recorder's loop; :meth:`add_codes`, :meth:`look_again`, :meth:`learn` and :meth:`merge` to the
    naming thread.

    Parameters
    ----------
    object_ : Object
        A loaded one; the others of the session share its maps.
    table : FrameTable
        Takes the frames.
    """

    def __init__(self, object_: Object, table: FrameTable) -> None:
        self.failure = ""
        self.shared = {name: object_.maps[name] for name in SHARED}
        process, code = (object_.layout(f"wb_python_{name}").dtype for name in ("process", "code"))
        self._processes = PythonProcesses([object_.maps["wb_python"]], process)
        self._codes = CodeTable(code, self._processes.of)
        self._frames = PythonFrames(self._codes, table)
        self._classes = np.zeros(1 << 10, np.int8)
        self._interpreters = np.zeros(1 << 15, np.bool_)  # by image number: WB_MAX_IMAGES
        codes = object_.maps["wb_python_codes"]
        self._ring = RingBuffer(codes.fd, codes.max_entries)
        self._in: queue.SimpleQueue[tuple[Callable[[Any], Any], Any] | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="python-finder", daemon=True)
        self._thread.start()

    def process_started(self, pid: int) -> None:
        """Look whether a process runs Python."""
        self._in.put((self._processes.watch, pid))

    def image_met(self, number: int, path: str) -> None:
        """Take the number of an image: it may be an interpreter's."""
        self._interpreters[number] = is_interpreter(path)

    def look_again(self, parts: Parts, pids: NDArray[np.uint32]) -> None:
        """Look again for the interpreters of processes whose stacks have frames of one.

        A program may load Python at any time, long after its start.

        Parameters
        ----------
        parts : Parts
        pids : uint32 array
            Process of each stack.
        """
        inside = self._interpreters[parts.images]
        if inside.any():
            for pid in np.unique(np.repeat(pids, parts.depths)[inside]).tolist():
                if self._processes.of(pid) is None:
                    self._in.put((self._processes.again, pid))

    def process_ended(self, pid: int) -> None:
        """Forget the interpreter of a process that has ended."""
        self._in.put((self._processes.forget, pid))

    def wait(self, timeout: float) -> bool:
        """Wait until the processes told so far were looked at; False when that takes longer."""
        idle = threading.Event()
        self._in.put((lambda _: idle.set(), None))
        return idle.wait(timeout)

    def drain(self) -> list[bytes]:
        """Return the code objects that were announced; to be called after draining stacks."""
        return [
            span.data[at : at + size].tobytes()
            for span in self._ring.drain()
            for at, size in zip(span.offsets.tolist(), span.lengths.tolist(), strict=True)
        ]

    def add_codes(self, records: list[bytes]) -> None:
        """Take announced code objects."""
        self._codes.add(records)

    def learn(self, frames: Any) -> None:
        """Take new native frames (a batch of :data:`workbench.schema.FRAMES`): their classes."""
        ids = frames.column("frame_id").to_numpy()
        classes = [native_class(name) for name in frames.column("function").to_pylist()]
        if len(ids) and ids.max() >= len(self._classes):
            self._classes = np.pad(self._classes, (0, int(ids.max()) + 1))
        self._classes[ids] = classes

    def merge(
        self,
        native: NDArray[np.uint32],
        parts: Parts,
        pids: NDArray[np.uint32],
        complete: NDArray[np.bool_],
    ) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Put the Python frames of many stacks into their native ones.

        Parameters
        ----------
        native : uint32 array
            Frame of each native word of ``parts``.
        parts : Parts
        pids : uint32 array
            Process of each stack.
        complete : bool array
            Whether each stack reaches its root.

        Returns
        -------
        frames : uint32 array
        depths : int64 array
            Frames of each stack.
        """
        python = self._frames.decode(np.repeat(pids, parts.python_depths), parts.python)
        ids, depths = merge(
            native,
            parts.depths,
            self._classes[native],
            python.ids,
            parts.python_depths,
            python.is_entry,
            complete,
        )
        return ids.astype(np.uint32), depths

    def problems(self) -> list[str]:
        """Return what went wrong without ending the capture, for people."""
        found = [
            f"{text} ({n} process{'es' if n > 1 else ''}, without Python frames)"
            for text, n in self._processes.problems.items()
        ]
        if self.failure:
            last = self.failure.strip().splitlines()[-1]
            found.append(f"Interpreters of Python were not found: {last}")
        return found

    def close(self) -> None:
        """End the thread and unmap the ring. Safe to call twice.

        It waits until the thread has looked at the process that it is at: what that writes into
        the maps must not come after they have gone with their object.
        """
        if self._thread.is_alive():
            self._closed = True
            self._in.put(None)
            self._thread.join()
            self._ring.close()

    def _run(self) -> None:
        until = 0.0  # no process waits for a look after that
        while True:
            try:
                waits = POLL_S if time.monotonic() < until else None
                task = self._in.get(timeout=waits)
            except queue.Empty:
                task = (lambda _: None, None)
            else:
                until = time.monotonic() + sum(DELAYS)
            if task is None or self._closed:
                return
            what, value = task
            try:
                what(value)
                self._processes.poll()
            except Exception:
                self.failure = traceback.format_exc(limit=3)
