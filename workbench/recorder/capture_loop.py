"""The recording itself: load, attach, drain, write, stop."""

from __future__ import annotations

import hashlib
import os
import platform
import select
import shutil
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import kinds
from workbench.errors import StorageError, WorkbenchError
from workbench.probe.objects import detach_all
from workbench.recorder import targets
from workbench.recorder.clock import boot_to_utc
from workbench.recorder.orders import CLIENT_GONE, Orders, Switches
from workbench.recorder.overhead import Overhead
from workbench.recorder.processes import EXEC, EXIT, FORK, ProcessTable
from workbench.recorder.source import PERF, RING, Setup, Source
from workbench.recorder.tables import EventSource, make_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.recorder.spec import Spec
    from workbench.store.writer import SessionWriter

PROCESS_RING = 1 << 21
SETTLE_S = 0.5
"""Longest wait for programs that still run on another CPU after they were detached."""
FIRST_S, FAST_S, SLOW_S = 1.0, 0.02, 0.2
"""Seconds: in the first second the buffers are drained every 20 ms, so that the first events
show at once, then every 200 ms (the format promises 250) or when a buffer's watermark wakes us."""
MANIFEST_S = 1.0
ORPHAN_S = 2.0


class CaptureLoop:
    """One capture, from loading to the last batch.

    Parameters
    ----------
    spec : Spec
    control : (int, int)
        Descriptors: the client's, with its orders (its end, too, means stop), and one that a
        signal makes readable, which means stop.
    tell : callable
        Takes status messages as dicts.
    """

    def __init__(
        self, spec: Spec, control: tuple[int, int], tell: Callable[[dict[str, Any]], None]
    ) -> None:
        self.spec = spec
        self.reason = ""
        self._control = control
        self._tell = tell
        self._sources: list[EventSource] = []
        self._orders, self._switches = Orders(control[0]), Switches(self._sources, tell)
        self.rows = 0
        self._transport = _transport(spec)

    def run(self) -> Path:
        """Record until something ends it; return the path of the session.

        Raises
        ------
        WorkbenchError
            What was captured before stays in the session's directory.
        """
        with ExitStack() as cleanup:
            watch = cleanup.enter_context(targets.watched(self.spec.target))
            self._clock_start = boot_to_utc()
            self._overhead = Overhead("off")
            self._load(cleanup)
            # Before attaching: from then on nothing may keep the buffers waiting.
            self._writer = self._create()
            cleanup.callback(self._writer.close)
            try:
                self._attach()
            except BaseException:
                shutil.rmtree(self.spec.output, ignore_errors=True)
                raise
            self._overhead = Overhead(self.spec.overhead)
            cleanup.callback(self._overhead.close)
            self._begin()
            self._loop(watch)
            return self._finish()

    def _begin(self) -> None:
        self._start = time.monotonic()
        start = time.time_ns()
        self._writer.update(start_ns=start)
        self._tell({"event": "ready", "start_ns": start})

    def _load(self, cleanup: ExitStack) -> None:
        spec = self.spec
        values = targets.filter_values(spec.target)
        setup = Setup(values, self._transport, self._clock_start)
        # Every fork and exec wakes the recorder: it reads /proc while the process still lives.
        self._tree = Source("process", setup, {}, PROCESS_RING, watermark=1)
        cleanup.callback(self._tree.close)
        shared = {name: self._tree.object.maps[name] for name in targets.SHARED}
        setup = Setup(values, self._transport, self._clock_start, shared, spec.target)
        for name, parameters in spec.kinds.items():
            kind, machine = kinds.find(name, parameters), platform.machine()
            source = make_source(kind, setup, parameters, machine, spec.ring_bytes or 0)
            cleanup.callback(source.close)
            self._sources.append(source)
        self._processes = ProcessTable(self._clock_start, self._take_process_events)

    def _attach(self) -> None:
        targets.set_cgroup(self.spec.target, [self._tree, *self._sources])
        self._tree.attach()
        found = targets.add_processes(self.spec.target, self._tree.object.maps["wb_targets"])
        now = time.time_ns()
        for pid in found:
            if not self.spec.target.held:
                self._processes.snapshot(pid, now)
                for source in self._sources:
                    source.process_started(pid)
        for source in self._sources:
            source.start()

    def _create(self) -> SessionWriter:
        from workbench.schema import PROCESSES, arrow_schema
        from workbench.store.manifest import Manifest
        from workbench.store.writer import SessionWriter

        spec = self.spec
        paths = {"process": kinds.OBJECTS / "process.bpf.o"}
        paths |= {n: kinds.find(n, given).object_for(given) for n, given in spec.kinds.items()}
        objects = {
            name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items()
        }
        manifest = Manifest(
            kinds=_plain(spec.kinds),
            start_ns=time.time_ns(),
            objects=objects,
            target=spec.target.describe(),
            host=_host(),
            clock={"offset_start_ns": self._clock_start, "offset_stop_ns": None},
        )
        schemas = {source.table: source.schema for source in self._sources}
        schemas["processes"] = arrow_schema(PROCESSES)
        return SessionWriter.create(spec.output, manifest, schemas)

    def _loop(self, watch: int) -> None:
        poll = select.epoll()
        try:
            for fd in (*self._control, watch):
                if fd >= 0:
                    poll.register(fd, select.EPOLLIN)
            for source in (self._tree, *self._sources):
                for fd in source.buffer.fds if source.buffer else ():
                    # Edge-triggered: a ring is "readable" as soon as it holds one record.
                    poll.register(fd, select.EPOLLIN | select.EPOLLET)
            self._turn(poll, watch)
        finally:
            poll.close()

    def _turn(self, poll: select.epoll, watch: int) -> None:
        told = saved = 0.0
        while not self.reason:
            elapsed = time.monotonic() - self._start
            wait = FAST_S if elapsed < FIRST_S else SLOW_S
            if self.spec.duration is not None:
                wait = max(0.0, min(wait, self.spec.duration - elapsed))
            ready = {fd for fd, _ in poll.poll(wait)}
            elapsed = time.monotonic() - self._start
            client, signalled = self._control
            if signalled in ready:
                self.reason = "stopped by a signal"
            elif client in ready:
                self._heed(watch)
            elif watch in ready:
                self.reason = "the target ended"
            elif self.spec.duration is not None and elapsed >= self.spec.duration:
                self.reason = "the duration is over"
            self._drain()
            self._overhead.tick()
            if elapsed - told >= SLOW_S:
                told = elapsed
                self._tell(self._progress(elapsed))
            if elapsed - saved >= MANIFEST_S:
                saved = elapsed
                self._writer.update(**self._figures(final=False))

    def _heed(self, watch: int) -> None:
        """Do what the client asks for."""
        for order in self._orders.read():
            if isinstance(order, str):
                self.reason = order
            else:
                self._switches.obey(order)
        if self.reason == CLIENT_GONE and self.spec.target.held:
            self._end_orphan(watch)

    @staticmethod
    def _end_orphan(watch: int) -> None:
        """End the command that the client had started: nobody is left to do it."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                signal.pidfd_send_signal(watch, number)
            except ProcessLookupError:
                return
            if select.select([watch], [], [], ORPHAN_S)[0]:
                return

    def _drain(self) -> None:
        now = time.time_ns()
        # Processes first: a table is never ahead of the names of its threads.
        self._drain_processes()
        for source in self._sources:
            self._write(source.batches(self._processes, now))
        self._write_processes()

    def _drain_processes(self) -> None:
        self._take_process_events()
        self._write_processes()

    def _take_process_events(self) -> None:
        for _, records in self._tree.drain():
            for event, pid, parent in self._processes.events(records):
                for source in self._sources:
                    if event in (FORK, EXEC):
                        source.process_started(pid, parent if event == FORK else 0)
                    elif event == EXIT:
                        source.process_ended(pid)

    def _write_processes(self) -> None:
        batch = self._processes.take()
        if batch is not None:
            self._writer.append("processes", batch)

    def _write(self, batches: list[tuple[str, Any]]) -> None:
        tables = {source.table for source in self._sources}
        for table, batch in batches:
            self._writer.append(table, batch)
            self.rows += batch.num_rows if table in tables else 0

    def _figures(self, *, final: bool) -> dict[str, Any]:
        sources = (self._tree, *self._sources)
        return {
            "losses": tuple(row for s in sources for row in s.losses(final=final)),
            "overhead": tuple(self._overhead.programs(sources)),
            "recorder": self._overhead.recorder(),
            "switched_off": tuple(self._switches.periods),
        }

    def _progress(self, elapsed: float) -> dict[str, Any]:
        return {
            "event": "progress",
            "elapsed": elapsed,
            "rows": self.rows,
            "dropped": sum(s.dropped for s in self._sources),
        }

    def _finish(self) -> Path:
        """Detach, drain what is left, convert."""
        detach_all(source.object for source in self._sources)
        self._tree.object.detach()
        self._settle()
        now = time.time_ns()
        self._drain_processes()
        for source in self._sources:
            self._write(source.finish(self._processes, now))
        self._write_processes()
        problems = tuple(text for s in self._sources for text in s.problems())
        figures = self._figures(final=True) | {"problems": problems}
        self._overhead.close()
        clock = {"offset_start_ns": self._clock_start, "offset_stop_ns": boot_to_utc()}
        self._tell(self._progress(time.monotonic() - self._start) | {"event": "saving"})
        self._writer.finish("complete", self.reason, stop_ns=now, clock=clock, **figures)
        path = Path(self.spec.output)
        if self.spec.pack:
            pack_in_place(path)
        return path

    def _settle(self) -> None:
        """Drain until all that was produced is accounted for.

        Detaching does not wait for programs that run on another CPU at that moment.
        """
        deadline = time.monotonic() + SETTLE_S
        while True:
            self._drain()
            pending = any(s.buffer and s.waiting for s in (self._tree, *self._sources))
            if not pending or time.monotonic() > deadline:
                return
            time.sleep(0.001)


def pack_in_place(path: Path) -> None:
    """Replace a finished session directory by its single file.

    Raises
    ------
    StorageError
        The directory is left as it is.
    """
    from workbench.store.archive import pack

    part, old = path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.old")
    try:
        pack(path, part)
        path.rename(old)
        part.rename(path)
    except (OSError, WorkbenchError) as error:
        part.unlink(missing_ok=True)
        why = error.why if isinstance(error, WorkbenchError) else str(error)
        raise StorageError(
            f"{path} could not be packed into one file.",
            why=why,
            advice="The session is complete as a directory and opens as it is.",
        ) from error
    for file in old.iterdir():
        file.unlink()
    old.rmdir()


def _transport(spec: Spec) -> int:
    if spec.transport == "auto":
        from workbench.probe.support import has_ring_buffer

        return RING if has_ring_buffer() else PERF
    return PERF if spec.transport == "perf" else RING


def _host() -> dict[str, Any]:
    return {
        "node": platform.node(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "cpus": os.cpu_count() or 1,
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
    }


def _plain(parameters: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        kind: {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
        for kind, values in parameters.items()
    }
