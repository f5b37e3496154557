"""Which processes run Python: keeps the map ``wb_python`` of the kernel side filled."""

from __future__ import annotations

import heapq
import platform
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from workbench.errors import MapError
from workbench.pystacks.interpreter import (
    Interpreter,
    PythonStatus,
    find_interpreter,
    has_ended,
)
from workbench.pystacks.layout import record

DELAYS = (0.0, 0.01, 0.05, 0.25, 1.0, 4.0)
"""Seconds after the start of a process at which it is looked at until Python is found: right
after its execve the interpreter's library is not mapped yet."""
MAX_LOOKS = 32
"""Processes looked at in one :meth:`PythonProcesses.poll`, about 1 ms each."""


class WritableMap(Protocol):
    """The part of :class:`workbench.probe.maps.Map` that is needed."""

    def update(self, key: bytes, value: bytes) -> None:
        """Set the value of a key."""

    def delete(self, key: bytes) -> bool:
        """Remove a key."""


class PythonProcesses:
    """The processes of one capture, as far as they run Python.

    Parameters
    ----------
    maps : sequence of Map
        The maps ``wb_python``; one where the objects share it.
    dtype : numpy.dtype
        Of ``struct wb_python_process``, from the object's BTF.
    find : callable, optional
        Looks at a process.
    clock : callable, optional
        Seconds.
    ended : callable, optional
        Whether a process has no memory any more.

    Attributes
    ----------
    problems : collections.Counter of str
        Processes whose Python is one without frames: "Python VERSION: STATUS" to their number.
    """

    def __init__(
        self,
        maps: Sequence[WritableMap],
        dtype: np.dtype[Any],
        find: Callable[[int], Interpreter] = find_interpreter,
        clock: Callable[[], float] = time.monotonic,
        ended: Callable[[int], bool] = has_ended,
    ) -> None:
        self.problems: Counter[str] = Counter()
        self._maps = maps
        self._dtype = dtype
        self._find = find
        self._clock = clock
        self._ended = ended
        self._found: dict[int, Interpreter] = {}
        self._told: dict[int, str] = {}  # processes that are counted as problems
        self._queue: list[tuple[float, int, int]] = []  # time, pid, looks so far
        self._waiting: dict[int, float] = {}

    def watch(self, pid: int) -> None:
        """Look at a process from now on: it was there at the start, or has called execve."""
        self._drop(pid)
        self._later(pid, 0)

    def again(self, pid: int) -> None:
        """Look at a process again that runs code of Python, which was not found: it came late."""
        if pid not in self._found and pid not in self._waiting and pid not in self._told:
            self._later(pid, 0)

    def fork(self, parent: int, child: int) -> None:
        """Tell that a process was forked: it has its parent's memory, thus its interpreter."""
        found = self._found.get(parent)
        if found is not None:
            self._set(child, found)
        elif parent in self._waiting:
            self._later(child, 0)

    def forget(self, pid: int) -> None:
        """Tell that a process has gone."""
        self._drop(pid)
        self._told.pop(pid, None)

    def poll(self) -> int:
        """Look at the processes whose time has come; return the number of those with Python."""
        now, found = self._clock(), 0
        for _ in range(MAX_LOOKS):
            if not self._queue or self._queue[0][0] > now:
                break
            due, pid, looks = heapq.heappop(self._queue)
            if self._waiting.get(pid) == due:
                found += self._look(pid, looks)
        return found

    def of(self, pid: int) -> Interpreter | None:
        """Return the interpreter of a process, None where there is none, or none yet."""
        return self._found.get(pid)

    def _drop(self, pid: int) -> None:
        self._waiting.pop(pid, None)
        if self._found.pop(pid, None) is not None:
            for each in self._maps:
                each.delete(_key(pid))

    def _look(self, pid: int, looks: int) -> int:
        del self._waiting[pid]
        interpreter = self._find(pid)
        if interpreter.status == PythonStatus.OK:
            return int(self._set(pid, interpreter))
        if interpreter.status in (PythonStatus.NONE, PythonStatus.UNREADABLE):
            self._later(pid, looks + 1)
        # One that ends meanwhile has no memory any more, which looks as if it were another layout.
        elif interpreter.status != PythonStatus.LAYOUT or not self._ended(pid):
            self._tell(pid, f"Python {interpreter.version or '?'}: {interpreter.status.value}")
        return 0

    def _tell(self, pid: int, problem: str) -> None:
        """Count a process once, although it is looked at after each execve."""
        if self._told.get(pid) != problem:
            self._told[pid] = problem
            self.problems[problem] += 1

    def _later(self, pid: int, looks: int) -> None:
        if looks < len(DELAYS):
            due = self._clock() + DELAYS[looks]
            self._waiting[pid] = due
            heapq.heappush(self._queue, (due, pid, looks))

    def _set(self, pid: int, interpreter: Interpreter) -> bool:
        assert interpreter.layout is not None
        layout = interpreter.layout
        native = platform.machine() != "x86_64"  # wb_python_thread() in bpf/python.bpf.h
        value = record(
            layout,
            self._dtype,
            runtime=interpreter.runtime,
            code_type=interpreter.code_type,
            thread_key=layout.thread_native_id if native else layout.thread_id,
        )
        try:
            for each in self._maps:
                each.update(_key(pid), value.tobytes())
        except MapError:  # full
            self._tell(pid, "no room for more Python processes")
            return False
        self._found[pid] = interpreter
        return True


def _key(pid: int) -> bytes:
    return pid.to_bytes(4, "little")
