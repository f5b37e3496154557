"""The table ``processes``: who ran, under which name, since when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.recorder import procfs
from workbench.schema import PROCESS_EVENTS, PROCESSES, arrow_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SNAPSHOT, FORK, EXEC, RENAME, EXIT = range(5)
MAX_TID = 1 << 22  # PID_MAX_LIMIT, include/linux/threads.h


@dataclass(frozen=True)
class _Image:
    """What the threads of a process have in common."""

    ppid: int = 0
    exe: str = ""
    cmdline: str = ""
    cgroup: str = ""


class ProcessTable:
    """Collects rows; :meth:`take` gives those that are new as a record batch.

    Process events are rare (a busy build makes a thousand a second), and each is mostly text, so
    they are handled one by one.

    Parameters
    ----------
    clock_offset : int
        Nanoseconds from the boot clock to UTC.
    catch_up : callable
        Takes the process events that wait: asked before /proc is, as they tell more.
    """

    def __init__(self, clock_offset: int, catch_up: Callable[[], None] = lambda: None) -> None:
        self._catch_up = catch_up
        self._offset = clock_offset
        self._images: dict[int, _Image] = {}
        self._rows: list[tuple[Any, ...]] = []
        self._seen = np.zeros(MAX_TID + 1, bool)

    def snapshot(self, pid: int, now: int) -> None:
        """Take a process and its threads from /proc; ``now`` is UTC in ns."""
        image = _Image(
            procfs.parent(pid), procfs.executable(pid), procfs.command_line(pid), procfs.cgroup(pid)
        )
        self._images[pid] = image
        for tid in procfs.threads(pid):
            self._add(now, SNAPSHOT, pid, tid, procfs.comm(tid), image)

    def see(self, pids: NDArray[Any], tids: NDArray[Any], now: int) -> None:
        """Take threads from /proc that events name but no row does yet."""
        if len(tids) and self._seen[tids[0]] and (tids == tids[0]).all():
            return  # the rule while one thread is busy: a third of the price of asking for each
        new = ~self._seen[tids]
        if new.any():
            # A thread's fork was sent before its first call: it waits in its own buffer.
            self._catch_up()
            new = ~self._seen[tids]
        if not new.any():
            return
        for tid, at in zip(*np.unique(tids[new], return_index=True), strict=True):
            pid = int(pids[new][at])
            if pid not in self._images:
                self.snapshot(pid, now)
            if not self._seen[tid]:
                self._add(now, SNAPSHOT, pid, int(tid), procfs.comm(int(tid)), self._images[pid])

    def events(self, records: NDArray[Any]) -> list[tuple[int, int]]:
        """Take records of ``struct process_event``.

        Returns
        -------
        list of (int, int)
            (event, pid) of each record, for those who follow processes; none of new threads.
        """
        happened = []
        for r in records:
            event, pid, tid = int(r["event"]), int(r["pid"]), int(r["tid"])
            image = self._image(event, pid, int(r["ppid"]), r)
            exit_code = int(r["exit_code"]) if event == EXIT else None
            comm = bytes(r["comm"]).split(b"\0", 1)[0].decode("utf-8", "replace")
            self._add(int(r["ts"]) + self._offset, event, pid, tid, comm, image, exit_code)
            if event != FORK or tid == pid:
                happened.append((event, pid))
        return happened

    def _image(self, event: int, pid: int, ppid: int, record: Any) -> _Image:
        old = self._images.get(pid)
        if event == EXEC:
            path = bytes(record["filename"]).split(b"\0", 1)[0].decode("utf-8", "replace")
            arguments = bytes(record["args"])[: int(record["args_size"])].decode("utf-8", "replace")
            cgroup = procfs.cgroup(pid) or (old.cgroup if old else "")
            image = _Image(ppid, procfs.real_path(pid, path), procfs.quote(arguments), cgroup)
        elif old is None:  # the first that is heard of it: it has its parent's image
            image = replace(self._images.get(ppid, _Image()), ppid=ppid)
        else:
            image = old
        self._images[pid] = image
        return image

    def _add(
        self,
        ts: int,
        event: int,
        pid: int,
        tid: int,
        comm: str,
        image: _Image,
        exit_code: int | None = None,
    ) -> None:
        self._seen[tid] = True
        row = (ts, event, pid, tid, image.ppid, comm, image.exe, image.cmdline, image.cgroup)
        self._rows.append((*row, exit_code))

    def take(self) -> Any:
        """Return the new rows as a record batch, or None."""
        import pyarrow as pa

        if not self._rows:
            return None
        schema = arrow_schema(PROCESSES)
        arrays = []
        for field, values in zip(schema, zip(*self._rows, strict=True), strict=True):
            if field.name == "event":
                codes = pa.array(values, pa.int8())
                arrays.append(pa.DictionaryArray.from_arrays(codes, pa.array(PROCESS_EVENTS)))
            else:
                arrays.append(pa.array(values, field.type))
        self._rows = []
        return pa.RecordBatch.from_arrays(arrays, schema=schema)
