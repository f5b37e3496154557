"""Memory: attached to the allocators of each process of the target, as it comes."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.elf import Elf
from workbench.errors import (
    AttachError,
    KernelError,
    ObjectFormatError,
    ParameterError,
    WorkbenchError,
)
from workbench.event_texts import MEMORY_OPS
from workbench.probe.tracepoints import argument_count
from workbench.probe.uprobe_multi import Spot
from workbench.probe.uprobes import EVERYWHERE, Uprobes
from workbench.recorder.preload import LIBRARY, has_variables, inherited
from workbench.recorder.stack_source import StackSource, status_column
from workbench.symbols.allocators import Allocator, allocator_in, allocator_of
from workbench.symbols.places import find
from workbench.unwind.images import ImageKey, images_of
from workbench.unwind.learned import recall
from workbench.unwind.needed import files_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from workbench.probe.objects import Link
    from workbench.recorder.source import KindSetup, Setup

RETURN = "alloc_return"
TOLD = {
    "workbench_allocated": "told_allocated",
    "workbench_allocated_0": "told_allocated",
    "workbench_freed": "told_freed",
    "workbench_moving": "told_moving",
    "workbench_moved": "told_moved",
}
"""Functions of workbench/preload/memory.c to the programs on them."""
PARTS = {
    "mappings": ("mapping_enter", "mapping_exit"),
    "faults": ("page_fault",),
    "oom": ("out_of_memory",),
}
"""Programs of each part but the heap."""
FAULTS = "page_fault_user"


class MemorySource(StackSource):
    """The kind ``memory``.

    Probes on an allocator are put into the processes of the target only: they slow down whoever
    meets them. A process that is forked gets its own when the recorder hears of it.

    A command that was started with the library of workbench/preload/memory.c needs none of them,
    nor do its children that inherit it: the probes on that file are in all of them from the
    beginning.
    """

    def __init__(self, wanted: KindSetup) -> None:
        parameters = wanted.parameters
        self._parts = set(parameters["parts"])
        self._given = tuple(parameters["allocators"])
        self._sample_bytes = int(parameters["sample_bytes"])
        self._known: dict[ImageKey, Allocator | None] = {}
        self._attached: dict[tuple[int, ImageKey], list[Link]] = {}
        self._failures: dict[int, str] = {}
        self._preload = bool(parameters["preload"])
        self._by_library: set[int] = set()
        target = wanted.session.target
        if target is not None and target.pid is not None and not target.follow:
            self._uprobes = Uprobes.in_one_process()
        else:
            self._uprobes = Uprobes.in_processes()
        super().__init__(wanted)

    def _set_up(self, setup: Setup, settings: Mapping[str, Any], watermark: int) -> None:
        super()._set_up(setup, settings, watermark)
        if "faults" in self._parts and not argument_count(FAULTS):
            raise ParameterError(
                "Page faults cannot be captured here.",
                why=f"this kernel ({platform.machine()}) has no tracepoint {FAULTS}",
                advice="Leave out the part faults; the part mappings shows what is mapped.",
            )
        kept = {name for part in self._parts for name in PARTS.get(part, ())}
        programs = self.object.programs
        for name, program in list(programs.items()):
            uprobe = program.section == "uprobe"
            if name not in kept and not (uprobe and "heap" in self._parts):
                program.leave_out()
                del programs[name]
            elif uprobe:
                self._uprobes.expect(program)

    def attach(self, hz: int = 0) -> None:  # noqa: ARG002 - no clock drives it
        """Attach what is the kernel's, and the probes on the allocators of what runs already."""
        for program in self.object.programs.values():
            if program.section != "uprobe":
                self.object.attach(program)
        if "heap" not in self._parts:
            return
        target = self._target
        if target is None or target.pid is None:
            self._attach_everywhere()
        elif target.held and self._preload and has_variables(target.pid):
            self._attach_library(target.pid)
            return
        elif target.held:
            files = [*files_of(target.command[0]), *recall(target.command)]
            for path in dict.fromkeys([*files, *self._given]):
                self._attach_file(target.pid, path, needed=path in self._given)
        if not self._attached and not (target and target.pid and not target.held):
            raise AttachError(
                "The command has no allocator that is known before it runs.",
                why="none of its files has functions malloc and free",
                advice="Name the file that has them: allocators=.",
            )

    def process_started(self, pid: int, parent: int = 0) -> None:
        """Put probes on the allocators that a process of the target uses."""
        super().process_started(pid, parent)
        if "heap" not in self._parts or (EVERYWHERE in {p for p, _ in self._attached}):
            return
        if self._has_library(pid, parent):
            return
        for path in self._given:
            self._attach_file(pid, path, needed=False)
        for image in images_of(pid):
            try:
                self._attach_image(pid, image.key, image.source, image.mapping.path)
            finally:
                image.close()
        if not parent:
            self._attach_needed(pid)

    def _has_library(self, pid: int, parent: int) -> bool:
        """Whether the library samples in a process that was forked, or has begun a program."""
        if not self._by_library:
            return False
        if parent in self._by_library or (not parent and inherited(pid)):
            self._by_library.add(pid)
            return True
        self._by_library.discard(pid)
        return False

    def _attach_needed(self, pid: int) -> None:
        """Put probes on what a program is going to map that has just begun."""
        with suppress(OSError, AttachError, KernelError):
            for path in files_of(str(Path(f"/proc/{pid}/exe").readlink())):
                self._attach_file(pid, path, needed=False)

    def process_ended(self, pid: int) -> None:
        """Let go of the probes that it had."""
        super().process_ended(pid)
        self._by_library.discard(pid)
        for key in [key for key in self._attached if key[0] == pid]:
            self.object.release(self._attached.pop(key))

    def _make_batch(self, records: NDArray[Any], stacks: NDArray[np.uint32]) -> Any:
        return self._batcher.batch(
            records,
            stack_id=stacks,
            weight=weights(records, self._sample_bytes),
            stack_status=status_column(records),
        )

    def problems(self) -> list[str]:
        """Return what went wrong without ending the capture."""
        own = [f"memory: a process was not probed: {why}" for why in self._failures.values()]
        return [*super().problems(), *own[:1]]

    def _attach_library(self, pid: int) -> None:
        """Only programs of such captures map the file, and the target's are told by their ids."""
        for function, name in TOLD.items():
            place = find(str(LIBRARY), function)
            self._hold(name, place.path, [place.offset], EVERYWHERE)
        self._by_library.add(pid)

    def _attach_everywhere(self) -> None:
        """Without a process there is no telling who will use what: every user of the files."""
        for path in dict.fromkeys([*self._given, *files_of("true")]):
            self._attach_file(EVERYWHERE, path, needed=path in self._given)

    def _attach_file(self, pid: int, path: str, *, needed: bool) -> None:
        found = None if Path(path).name == LIBRARY.name else allocator_in(path)
        if found is None:
            if needed:
                raise AttachError(
                    f"{path} is no allocator.",
                    why="it has no functions malloc and free",
                    advice="Is it an ELF library or program, and the file itself, no script?",
                )
            return
        with suppress(OSError):
            stat = Path(path).stat()
            device = os.major(stat.st_dev) << 20 | os.minor(stat.st_dev)
            self._put(pid, ImageKey(stat.st_ino, stat.st_size, device), path, found)

    def _attach_image(self, pid: int, key: ImageKey, source: int | bytes, path: str) -> None:
        if isinstance(source, bytes) or (pid, key) in self._attached:
            return
        if Path(path).name == LIBRARY.name:  # of an earlier capture: the next allocator counts
            return
        if key not in self._known:
            try:
                with Elf(os.dup(source), path) as elf:
                    self._known[key] = allocator_of(elf)
            except ObjectFormatError:
                self._known[key] = None
        found = self._known[key]
        if found is not None:
            # As the recorder sees the file, deleted or not, whatever its namespace.
            try:
                self._put(pid, key, f"/proc/{os.getpid()}/fd/{source}", found)
            except KernelError as error:
                self._failures[pid] = f"{error.what} {error.why}"

    def _put(self, pid: int, key: ImageKey, path: str, found: Allocator) -> None:
        """Attach; what is called at its return first, so that no entry is without its return."""
        if (pid, key) in self._attached:
            return
        places: dict[str, list[int]] = {RETURN: list(found.allocate)}
        for offset, name in found.allocate.items():
            places.setdefault(name, []).append(offset)
        places["free_enter"] = list(found.release)
        links: list[Link] = []
        try:
            for name, offsets in places.items():
                links += self._hold(name, path, offsets, pid)
        except WorkbenchError:
            self.object.release(links)  # a part of them would only cost
            raise
        self._attached[pid, key] = links
        self._failures.pop(pid, None)

    def _hold(self, name: str, path: str, offsets: list[int], pid: int) -> list[Link]:
        spots = [Spot(offset) for offset in offsets]
        program, returns = self.object.programs[name], name == RETURN
        links = self._uprobes.attach(program, path, spots, returns=returns, pid=pid)
        return [self.object.hold(link) for link in links]


def weights(records: NDArray[Any], sample_bytes: int) -> NDArray[np.uint32]:
    """Return how many allocations each row stands for.

    Parameters
    ----------
    records : structured array
        ``op``, ``size``, ``address``, ``born``.
    sample_bytes : int
        Mean distance of the samples; 0: all were seen.

    Returns
    -------
    uint32 array
        For allocations and their ends 1 / (1 - exp(-size / sample_bytes)), rounded up or down
        at random so that the mean is right: by a hash of the allocation, so that its end gets the
        same. 1 for all else.
    """
    ones = np.ones(len(records), np.uint32)
    if not sample_bytes:
        return ones
    heap = records["op"] <= MEMORY_OPS.index("free")
    size = np.maximum(records["size"], 1).astype(np.float64)
    exact = -1 / np.expm1(-size / sample_bytes)
    # splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014)
    z = records["address"] + records["born"] * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    chance = ((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
    rounded = np.minimum(np.floor(exact + chance), 2**32 - 1).astype(np.uint32)
    return np.where(heap, rounded, ones)
