"""What all kinds with stacks of one session share: tables of the BPF side, and two threads."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.event_texts import STACK_STATUSES
from workbench.recorder import procfs
from workbench.recorder.python_service import PythonService
from workbench.recorder.stacks import StackWorker
from workbench.symbols.first_look import FirstLook
from workbench.unwind.images import images_of_files
from workbench.unwind.learned import recall, remember
from workbench.unwind.loader import TableMaps
from workbench.unwind.manager import UnwindManager
from workbench.unwind.needed import files_of
from workbench.unwind.table_cache import load

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from workbench.elf import Elf
    from workbench.probe.objects import Object
    from workbench.recorder.spec import Target
    from workbench.recorder.stack_words import Samples
    from workbench.unwind.images import FoundImage

TABLES = ("wb_rows", "wb_images")
"""Maps of bpf/unwind.bpf.h that the objects of a session share."""
ONLY_WALKING = (*TABLES, "wb_walks")
VMLINUX = Path("/sys/kernel/btf/vmlinux")
READY_S = 1.0
"""Longest wait for the tables of what runs already, before the first event."""
MISSING = STACK_STATUSES.index("image_missing")


def can_walk(vmlinux: Path = VMLINUX) -> bool:
    """Whether this kernel has what bpf/unwind.bpf.h needs: names in its BTF tell."""
    try:
        names = vmlinux.read_bytes()
    except OSError:
        return False
    return platform.machine() == "x86_64" and all(
        name in names for name in (b"\0mm_mt\0", b"\0BPF_FUNC_loop\0")
    )


class StackService:
    """The threads that name stacks and that load unwind tables.

    Parameters
    ----------
    object_ : Object
        The first loaded one with stacks; the others share its maps.
    walks : bool
        Whether this kernel can walk by tables.
    python : bool
        Whether it can send code objects.
    """

    def __init__(self, object_: Object, *, walks: bool, python: bool) -> None:
        self.shared = {name: object_.maps[name] for name in TABLES if walks}
        self.python: PythonService | None = None
        self._namer = StackWorker()
        self._command: tuple[str, ...] = ()
        self._met: list[str] = []
        self._first = FirstLook()
        if python:
            self.python = self._namer.python = PythonService(object_, self._namer.frame_table)
            self.shared |= self.python.shared
        self.unwind: UnwindManager | None = None
        if walks:
            maps = TableMaps(object_.maps["wb_rows"], object_.maps["wb_images"])
            self.unwind = UnwindManager(maps, _rows, self._announce)
            # Both want the interpreter's lock, and a stack that lacks a table stays as it is.
            self._namer.gives_way = self.unwind.idle

    def prepare(self, target: Target | None) -> None:
        """Load what is going to run, or runs; wait for it, but not long."""
        if target is None:
            return
        if target.pid is None:
            for pid in procfs.processes():
                self.process_started(pid)
        deadline = time.monotonic() + READY_S
        if self.unwind is not None:
            if target.held and target.command:
                self._command = target.command
                files = [*files_of(target.command[0]), *recall(target.command)]
                self.unwind.prepare(list(dict.fromkeys(files)))
            self.unwind.wait(READY_S)
        if self.python is not None:
            self.python.wait(max(0.0, deadline - time.monotonic()))

    def process_started(self, pid: int, parent: int = 0) -> None:
        """A process of the target was found or has called execve, or was forked.

        Parameters
        ----------
        pid : int
        parent : int, optional
            The process that forked it. It maps the same files as that one for now, so only
            programs that are new are looked at here, before anything else is done.
        """
        look = None if parent else self._first.look(pid)
        if self.unwind is not None:
            found = images_of_files(pid, look.duplicate()) if look else []
            self.unwind.process_started(pid, found)
        self._namer.add_process(pid, look, parent)
        if self.python is not None:
            self.python.process_started(pid)

    def process_ended(self, pid: int) -> None:
        """A process of the target has ended."""
        if self.python is not None:
            self.python.process_ended(pid)
        self._namer.exited(pid)

    def submit(self, samples: Samples) -> None:
        """Hand samples over, and look for the images that their stacks lacked."""
        missing = samples.records["stack_status"] == MISSING
        if self.unwind is not None and missing.any():
            self.unwind.image_missing(samples.records["pid"][missing])
        if self.python is not None:
            self._namer.add_codes(self.python.drain())
        self._namer.submit(samples)

    def batches(self) -> list[tuple[str, Any]]:
        """Return finished batches of all kinds, (table, batch), in the order to write them."""
        return self._namer.batches()

    def finish(self) -> list[tuple[str, Any]]:
        """Name all that was handed over, and return the last batches."""
        if self._command:
            remember(self._command, self._met)
        return self._namer.finish()

    def unfinished(self, table: str) -> NDArray[np.int64]:
        """Samples of each CPU that were handed over for a table and have not come back."""
        return self._namer.unfinished(table)

    def problems(self) -> list[str]:
        """Return what went wrong without ending the capture, for people."""
        found = []
        if self._namer.failure:
            last = self._namer.failure.strip().splitlines()[-1]
            found.append(f"Some frames have no names, naming them failed: {last}")
        if self.unwind is not None and self.unwind.stats.failures:
            stats = self.unwind.stats
            found.append(f"{stats.failures} unwind tables were not loaded: {stats.last_failure}")
        return found + (self.python.problems() if self.python else [])

    def close(self) -> None:
        """End the threads. Safe to call twice."""
        for service in (self.unwind, self.python):
            if service is not None:
                service.close()
        self._namer.close()

    def _announce(self, number: int, found: FoundImage) -> None:
        self._met.append(found.mapping.path)
        if self.python is not None:
            self.python.image_met(number, found.mapping.path)
        source = found.source if isinstance(found.source, bytes) else os.dup(found.source)
        self._namer.add_image(number, found.pid, found.mapping.path, source)


def _rows(elf: Elf) -> NDArray[np.uint64]:
    return load(elf, elf.build_id).rows
