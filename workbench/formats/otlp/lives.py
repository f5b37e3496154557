"""Processes and threads of a session with their spans, and whose an event is.

Process and thread ids are used again. A *life* is one process or thread that had a number, from
the fork that made it on; the first may have begun before the capture.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.formats.otlp.identity import Ids, hashed, seed_of, session_id
from workbench.frames.needs import has, need
from workbench.frames.processes import processes

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

Indices = NDArray[np.int64]
Trace = tuple[Ids, Ids]


class Lives:
    """Finds the life that had a number at a time.

    Parameters
    ----------
    key : array of int
        The number of each life.
    since : array of int
        When it began, ns UTC. Lives with one number that began earlier come before later ones
        after sorting; the first stands for everything before it as well.
    """

    def __init__(self, key: Any, since: Any) -> None:
        keys, times = np.asarray(key).astype(np.int64), np.asarray(since).astype(np.int64)
        self._order = np.lexsort((times, keys))
        self._since = times[self._order]
        self._keys, self._first = np.unique(keys[self._order], return_index=True)
        self._last = np.append(self._first[1:], len(keys)) - 1

    def find(self, key: Any, ts: Any) -> Indices:
        """Return the index of the life of each event, -1 where no life has the number."""
        wanted = np.asarray(key).astype(np.int64)
        if not len(self._keys):
            return np.full(len(wanted), -1)
        times = np.asarray(ts).astype(np.int64)
        place = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        known = self._keys[place] == wanted
        low, high = self._first[place].copy(), self._last[place].copy()
        while (low < high).any():  # the last life that began at the time or before
            middle = (low + high + 1) // 2
            begun = self._since[middle] <= times
            low, high = np.where(begun, middle, low), np.where(begun, high, middle - 1)
        return np.where(known, self._order[low], -1)


class People:
    """The processes and threads of a session; selections do not change them.

    Parameters
    ----------
    rec : Recording
        Of whose table ``processes``, if it has one, they are made.

    Attributes
    ----------
    session : bytes
        Identifier of the session.
    start, end : int
        Of the recording, ns UTC.
    processes : polars.DataFrame
        As of :func:`workbench.frames.processes.processes`.
    threads : polars.DataFrame
        pid, tid, comm, started, ended (null where not known), process (index, -1).
    process_ids, thread_ids : numpy.ndarray
        uint64, their spans.
    """

    def __init__(self, rec: Recording) -> None:
        self.session = session_id(rec.manifest)
        self.start = rec.manifest.start_ns
        lasted = rec.duration // timedelta(microseconds=1) * 1000
        self.end = rec.manifest.stop_ns or self.start + lasted
        known = has(rec, "processes")
        self.processes = processes(rec.whole) if known else _nobody()
        threads = _threads(rec.whole) if known else _nobody()
        pid, since = integers(self.processes, "pid"), integers(self.processes, "started")
        self._processes = Lives(pid, since)
        begun = integers(threads, "started")
        self._threads = Lives(integers(threads, "tid"), begun)
        owner = self._processes.find(integers(threads, "pid"), integers(threads, "seen"))
        self.threads = threads.with_columns(_series("process", owner))
        self._seeds = [seed_of(self.session, name) for name in ("trace 1", "trace 2")]
        self._traces = [hashed(seed, pid, since) for seed in self._seeds]
        self.process_ids = hashed(seed_of(self.session, "process"), pid, since)
        keys = (integers(threads, "tid"), integers(threads, "pid"), begun)
        self.thread_ids = hashed(seed_of(self.session, "thread"), *keys)

    def process(self, pid: Any, ts: Any) -> Indices:
        """Return the index of the process of each event, -1 where it is not known."""
        return self._processes.find(pid, ts)

    def thread(self, tid: Any, ts: Any) -> Indices:
        """Return the index of the thread of each event, -1 where it is not known."""
        return self._threads.find(tid, ts)

    def trace(self, process: Indices, pid: Any = None) -> Trace:
        """Return the trace of each process; unknown ones have one for each `pid`."""
        other = np.zeros(len(process), np.int64) if pid is None else pid
        first, second = (
            np.where(process >= 0, _of(ids, process), hashed(seed, other, 0))
            for ids, seed in zip(self._traces, self._seeds, strict=True)
        )
        return first, second

    def owners(self, pid: Any, tid: Any, ts: Any) -> tuple[Trace, Ids]:
        """Return the trace of each event, and its thread's span.

        Where the thread is not known it is the span of the process, else 0.
        """
        process, thread = self.process(pid, ts), self.thread(tid, ts)
        span = np.where(thread >= 0, self.thread_span(thread), self.process_span(process))
        return self.trace(process, pid), span

    def process_span(self, process: Indices) -> Ids:
        """Return the span of each process, 0 for -1."""
        return _of(self.process_ids, process)

    def thread_span(self, thread: Indices) -> Ids:
        """Return the span of each thread, 0 for -1."""
        return _of(self.thread_ids, thread)

    def thread_trace(self, thread: Indices) -> Trace:
        """Return the trace that each thread's span is in."""
        pid = integers(self.threads, "pid")
        return self.trace(_of(integers(self.threads, "process"), thread), _of(pid, thread))


def _of(values: NDArray[Any], index: Indices) -> NDArray[Any]:
    """Return the values at the indices, 0 for -1."""
    return np.append(values, np.zeros(1, values.dtype))[index]


def integers(frame: pl.DataFrame, name: str) -> NDArray[np.int64]:
    """Return a column of numbers or times (ns) of a frame, null as 0."""
    import polars as pl

    column = frame[name]
    return column.cast(pl.Int64).fill_null(0).to_numpy()


def _series(name: str, values: NDArray[np.int64]) -> pl.Series:
    import polars as pl

    return pl.Series(name, values)


def _nobody() -> pl.DataFrame:
    """Return no processes and no threads."""
    import polars as pl

    names = ("pid", "ppid", "tid", "started", "ended", "seen", "exit_status", "exit_signal")
    texts = ("comm", "exe", "cmdline", "cgroup")
    return pl.DataFrame(schema=dict.fromkeys(names, pl.Int64) | dict.fromkeys(texts, pl.String))


def _threads(rec: Recording) -> pl.DataFrame:
    """Return one row per thread, in the order in which they were seen."""
    import polars as pl

    event = pl.col("event").cast(pl.String)
    ts = pl.col("ts")
    return (
        need(rec, "processes", "ts", "event", "pid", "tid", "comm")
        .with_columns(event)
        .sort("ts", maintain_order=True)
        .with_columns((pl.col("event") == "fork").cum_sum().over("tid").alias("life"))
        .group_by("tid", "life")
        .agg(
            pl.col("pid", "comm").last(),
            ts.first().alias("seen"),
            ts.filter(pl.col("event") == "fork").first().alias("started"),
            ts.filter(pl.col("event") == "exit").last().alias("ended"),
        )
        .sort("seen", "tid")
        .collect()
    )
