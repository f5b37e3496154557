"""`wb.bpf`: compile a C text, attach it, and have what it sends and counts as dataframes."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from workbench.cells.collector import Collector, Stream
from workbench.cells.engine import Engine, Source
from workbench.errors import ParameterError
from workbench.held import HeldCommand
from workbench.live import INTERVAL_S
from workbench.probe.map_access import CGROUP_ARRAY, PERF_EVENT_ARRAY, PROG_ARRAY, QUEUES

if TYPE_CHECKING:
    import polars as pl

    from workbench.cells.live_events import LiveEvents
    from workbench.probe.typed_map import TypedMap

_NO_CONTENT = {PROG_ARRAY, PERF_EVENT_ARRAY, CGROUP_ARRAY, 12, 13}
"""Maps of descriptors, which say nothing."""
State = Literal["ready", "running", "ended"]


class Cell:
    """A program of the user's: made by :func:`bpf`.

    Parameters
    ----------
    source : Source
    core : bool
        Compile it with clang as CO-RE C, not with BCC.
    max_bytes : int
        Of the events of one buffer that are kept.

    Attributes
    ----------
    state : str
        ready, running or ended.
    exit_code : int, optional
        Of the command that it ran for.
    missed : dict of str to int
        After its end: functions of which the kernel left out runs, and how many. Those on
        tracepoints and perf events do not run while their CPU does something with a map for
        anybody (Linux counts them since 5.12).
    """

    def __init__(self, source: Source, *, core: bool, max_bytes: int) -> None:
        self.source, self.core = source, core
        self.state: State = "ready"
        self.exit_code: int | None = None
        self._max_bytes = max_bytes
        self._engine: Engine | None = None
        self._streams: dict[str, Stream] = {}
        self._collector: Collector | None = None
        self._frames: dict[str, Any] = {}
        self._losses: list[dict[str, Any]] = []
        self.missed: dict[str, int] = {}
        self._over = threading.Event()

    def start(self) -> Cell:
        """Compile, load and attach.

        Raises
        ------
        LoadError
            It does not compile, or the verifier refuses it; with the last lines and line numbers.
        AttachError
            A place does not exist; with what would work.
        NotPermittedError, UnsupportedKernelError
            In each case nothing is left loaded.
        """
        if self.state != "ready":
            raise ParameterError(f"This cell has {self.state}.", advice="Make a new one.")
        try:
            self._engine = _engine(self.source, self.core)
            for name, outlet in self._engine.outlets.items():
                self._streams[name] = Stream(name, outlet, self._max_bytes)
            self._collector = Collector(list(self._streams.values()))
            self._engine.attach()
        except BaseException:
            self._close()
            raise
        self.state = "running"
        return self

    def stop(self) -> Cell:
        """Detach, take the rest out of the buffers, read the tables, unload."""
        if self.state != "running":
            return self
        assert self._engine is not None
        assert self._collector is not None
        self.state = "ended"
        try:
            self._engine.detach()
            self._collector.stop()
            self.missed = self._engine.missed()
            for name, table in self._engine.tables.items():
                if table.raw.type in QUEUES:
                    self._frames[name] = table.drain().to_arrow()
                elif table.raw.type not in _NO_CONTENT:
                    self._frames[name] = table.arrow()
            self._losses = self._count()
        finally:
            self._close()
            self._over.set()
        return self

    def _close(self) -> None:
        if self._collector is not None:
            self._collector.end()
            self._collector = None
        for stream in self._streams.values():
            stream.close()
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def __enter__(self) -> Cell:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def tables(self) -> dict[str, TypedMap]:
        """The program's maps while it runs, to be read and written."""
        return self._engine.tables if self._engine is not None else {}

    @property
    def names(self) -> list[str]:
        """Names of its buffers and tables."""
        tables = self._frames if self.state == "ended" else self.tables
        return [*self._streams, *tables]

    def arrow(self, name: str) -> Any:
        """Events of a buffer or content of a table, as a pyarrow table.

        Parameters
        ----------
        name : str
            As the program declares it.

        Raises
        ------
        ParameterError
            There is none of that name.
        """
        if name in self._streams:
            return self._streams[name].arrow()
        if name in self._frames:
            return self._frames[name]
        if name in self.tables:
            return self.tables[name].arrow()
        raise ParameterError(
            f"The program has no buffer or table {name!r}.", why=f"it has {', '.join(self.names)}"
        )

    def __getitem__(self, name: str) -> pl.DataFrame:
        """Events of a buffer or content of a table, as a polars DataFrame."""
        import polars as pl

        return pl.DataFrame(self.arrow(name))

    def live(self, name: str, *, interval: float = INTERVAL_S, format: str = "arrow") -> LiveEvents:
        """Return the events of a buffer for a ``for`` or an ``async for`` loop, as they come.

        Parameters
        ----------
        name : str
            The buffer.
        interval : float
            Seconds between two looks.
        format : str
            Of the batches: arrow (record batches), polars or pandas.

        Raises
        ------
        ParameterError
            There is no such buffer, or the cell was not started.

        Examples
        --------
        >>> async for batch in cell.live("events", format="polars"):     # doctest: +SKIP
        ...     print(batch["comm"].value_counts())
        """
        from workbench.cells.live_events import LiveEvents

        if name not in self._streams:
            raise ParameterError(
                f"The program has no buffer {name!r}.",
                why=f"it has {', '.join(self._streams) or 'none'}"
                if self.state != "ready"
                else "the cell was not started",
            )
        return LiveEvents(self._streams[name], self._over, interval=interval, format=format)

    @property
    def losses(self) -> pl.DataFrame:
        """One row for each buffer.

        Returns
        -------
        polars.DataFrame
            ``buffer``, ``produced`` (null: not counted), ``delivered``, and why the rest is not
            here: ``full`` (the buffer had no room), ``forgotten`` (more than is kept),
            ``discarded`` (the program itself took a reserved record back, or another one sent
            while the cell ended).
        """
        import polars as pl

        counts = ("produced", "delivered", "full", "forgotten", "discarded")
        schema = {"buffer": pl.String, **dict.fromkeys(counts, pl.Int64)}
        return pl.DataFrame(self._losses or self._count(), schema=schema)

    def _count(self) -> list[dict[str, Any]]:
        rows = []
        for name, stream in self._streams.items():
            counted = self._engine.losses(name) if self._engine is not None else None
            delivered, forgotten = stream.delivered, stream.forgotten
            if counted is None:
                produced, full, rest = None, stream.lost, None
            else:
                produced, full = counted
                rest = produced - delivered - full - forgotten
            rows.append(
                {
                    "buffer": name,
                    "produced": produced,
                    "delivered": delivered,
                    "full": full,
                    "forgotten": forgotten,
                    "discarded": rest,
                }
            )
        return rows

    def __repr__(self) -> str:
        parts = [f"{name} {stream.delivered:,}" for name, stream in self._streams.items()]
        parts += [f"{name} {frame.num_rows:,}" for name, frame in self._frames.items()]
        return f"<bpf {self.state}: {', '.join(parts) or 'no buffers, no tables'}>"

    def _repr_html_(self) -> str:
        shown = []
        for name in self.names if self.state == "ended" else []:
            frame = self[name]
            if len(frame):
                shown.append(f"<b>{name}</b> ({len(frame):,} rows){frame.head(20)._repr_html_()}")
        lost = self.losses.filter(self.losses["full"] + self.losses["forgotten"] > 0)
        if len(lost):
            shown.append(f"<b>Events were lost</b>{lost._repr_html_()}")
        if self.missed:
            each = ", ".join(f"{name} {count:,}" for name, count in self.missed.items())
            shown.append(f"<b>The kernel left out runs:</b> {each}")
        return "".join(shown) or f"<i>{repr(self).strip('<>')}</i>"


def bpf(
    text: str,
    *,
    core: bool = False,
    attach: Mapping[str, str | Sequence[str]] | None = None,
    duration: float | None = None,
    command: Sequence[str] | None = None,
    pid: int = -1,
    defines: Mapping[str, object] | None = None,
    cflags: Sequence[str] = (),
    events: Mapping[str, str] | None = None,
    max_bytes: int = 1 << 30,
) -> Cell:
    """Compile a program of your own, and run it.

    Parameters
    ----------
    text : str
        C as BCC takes it (``BPF_HASH``, ``BPF_PERF_OUTPUT``, ``TRACEPOINT_PROBE``, ...), or with
        ``core`` C as libbpf takes it (``SEC("tp_btf/...")``, ``#include "vmlinux.h"``).
    core : bool
        The latter.
    attach : mapping of str to str or sequence of str
        Where functions go whose names (BCC) or sections (``core``) do not say it, such as
        ``{"on_malloc": "uprobe:c:malloc", "sample": "perf:cpu-clock:99"}``; see
        :mod:`workbench.probe.bcc.attach`.
    duration : float, optional
        Seconds. The call returns then.
    command : sequence of str, optional
        A command that is run with the program attached from its first instruction on; the call
        returns at its end. The macro ``WB_PID`` is its process id.
    pid : int
        A process, for which uprobes and perf events run; it is ``WB_PID`` then.
    defines : mapping of str to object
        Macros, such as ``{"MIN_US": 100}``.
    cflags : sequence of str
        More flags for the compiler.
    events : mapping of str to str
        C type of what a buffer sends, such as ``{"events": "struct event"}``, where it cannot be
        told from the program.
    max_bytes : int
        Of the events of one buffer that are kept.

    Returns
    -------
    Cell
        Ended, with ``duration`` or ``command``; otherwise one for ``with``, or to be started and
        stopped with ``start()`` and ``stop()``.

    Raises
    ------
    LoadError, AttachError, NotPermittedError, UnsupportedKernelError, TargetError
        Nothing is left loaded.

    Examples
    --------
    >>> cell = wb.bpf('''
    ... BPF_HASH(calls, u64, u64);
    ... TRACEPOINT_PROBE(raw_syscalls, sys_enter) {
    ...     u64 nr = args->id;
    ...     if (bpf_get_current_pid_tgid() >> 32 == WB_PID)
    ...         calls.increment(nr);
    ...     return 0;
    ... }''', command=["ls", "-l"])                            # doctest: +SKIP
    >>> cell["calls"]                                           # doctest: +SKIP
    """
    held = HeldCommand(command) if command is not None else None
    try:
        target = held.pid if held is not None else pid
        macros = dict(defines or {})
        if target > 0:
            macros.setdefault("WB_PID", target)
        places = {f: [p] if isinstance(p, str) else list(p) for f, p in (attach or {}).items()}
        source = Source(text, places, target, macros, tuple(cflags), dict(events or {}))
        cell = Cell(source, core=core, max_bytes=max_bytes)
        if held is None and duration is None:
            return cell
        with cell:
            _wait(held, duration)
        if held is not None:
            cell.exit_code = held.poll()
        return cell
    finally:
        if held is not None:
            held.end()


def _wait(held: HeldCommand | None, duration: float | None) -> None:
    """Until the command's end or the duration's; an interrupt ends it early."""
    try:
        if held is not None:
            held.release()
            held.wait(duration)
        else:
            time.sleep(max(0.0, duration or 0.0))
    except KeyboardInterrupt:
        pass  # what came so far is shown


def _engine(source: Source, core: bool) -> Engine:
    if core:
        from workbench.cells.core_engine import CoreEngine

        return CoreEngine(source)
    from workbench.cells.bcc_engine import BccEngine

    return BccEngine(source)
