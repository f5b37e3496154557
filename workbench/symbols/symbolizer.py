"""From addresses of samples to frames, for all processes of a capture.

Made for one worker thread of the recorder. Nothing here raises for what a process, its files or
the kernel hold: what has no name becomes a frame such as "[libc.so.6]" or "[unknown]", and
:attr:`Symbolizer.stats` counts it.

A frame is one address of a module (so that lines can be found later), not one function. Names
follow perf and its flamegraph scripts: the function; else the module's last part in brackets; else
"[unknown]".
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.symbols.debug_files import DebugFiles
from workbench.symbols.expansion import Expander
from workbench.symbols.first_look import Look
from workbench.symbols.frame_table import FrameTable
from workbench.symbols.image import Image
from workbench.symbols.image_cache import ImageCache
from workbench.symbols.kallsyms import KALLSYMS
from workbench.symbols.lines import LineReader
from workbench.symbols.process import Status, TracedProcess
from workbench.symbols.resolver import UNKNOWN_ID, KernelResolver, UserResolver

MAX_EXITED = 256
"""Processes that are gone and kept for samples that come late."""

Addresses = NDArray[np.uint64]
FrameIds = NDArray[np.uint32]


@dataclass
class SymbolizerStats:
    """What a symbolizer did.

    Parameters
    ----------
    addresses : int
        Addresses asked for, repeated ones included.
    frames : int
        Different frames.
    unnamed : int
        Frames made without a function's name.
    renamed : int
        Frames that got their name later.
    processes, images, images_missing : int
        Processes and files seen; mappings whose file was out of reach.
    perfmap_bad_lines : int
        Lines of perf maps, of processes that are gone, that made no sense.
    failures : int
        Errors that were caught; `last_failure` is the last one's text.
    inlined : int
        Frames of inlined functions.
    line_failures : int
        Debug files that could not be read; `line_status` is that of
        :class:`~workbench.symbols.lines.LineReader`.
    kernel : str
        Status of the kernel's symbols: "", "ok", "hidden" or "missing".
    """

    addresses: int = 0
    frames: int = 0
    unnamed: int = 0
    renamed: int = 0
    processes: int = 0
    images: int = 0
    images_missing: int = 0
    perfmap_bad_lines: int = 0
    failures: int = 0
    last_failure: str = ""
    inlined: int = 0
    line_failures: int = 0
    line_status: str = "new"
    kernel: str = ""


class Symbolizer:
    """Names addresses; not for use by several threads at once.

    Parameters
    ----------
    proc : pathlib.Path
        Where procfs is mounted.
    kallsyms : pathlib.Path
        The kernel's symbols.
    debug_files : DebugFiles, optional
        Where separate debug files are looked for.
    lines : LineReader, optional
        What reads debug information.
    """

    def __init__(
        self,
        proc: Path = Path("/proc"),
        kallsyms: Path = KALLSYMS,
        debug_files: DebugFiles | None = None,
        lines: LineReader | None = None,
    ) -> None:
        self._proc = proc
        self._frames = FrameTable()
        self._images = ImageCache(proc, debug_files)
        self._expander = Expander(self._frames, lines)
        self._user = UserResolver(self._frames, self._images, self._failed, self._expander.remember)
        self._kernel = KernelResolver(self._frames, kallsyms)
        self._processes: dict[int, TracedProcess] = {}
        self._numbered: dict[int, Image] = {}
        self._stats = SymbolizerStats()

    @property
    def table(self) -> FrameTable:
        """All frames; others may add theirs, such as those of Python."""
        return self._frames

    @property
    def stats(self) -> SymbolizerStats:
        """What was done so far."""
        self._stats.frames = len(self._frames)
        self._stats.images = len(self._images)
        self._stats.images_missing = self._images.missing
        self._stats.unnamed = self._user.unnamed + self._kernel.unnamed
        self._stats.inlined = self._expander.inlined
        self._stats.line_failures = self._expander.lines.failures
        self._stats.line_status = self._expander.lines.status
        self._stats.kernel = self._kernel.status
        return self._stats

    def add_process(self, pid: int, look: Look | None = None, parent: int = 0) -> bool:
        """Take a snapshot of a process's mappings, and open the files that it may lose.

        To be called at attach, after an exec, and when a process is met for the first time.
        Calling it again reads the mappings again.

        Parameters
        ----------
        pid : int
        look : Look, optional
            What was seen of it before, which is taken over; it is not read again then.
        parent : int, optional
            The process that forked it: stands for it when it is gone already.

        Returns
        -------
        bool
            Whether the process's mappings could be read.
        """
        try:
            if look is not None:
                return self._take_look(pid, look)
            return self._add_process(pid, parent)
        except Exception as error:
            self._failed(error)
            return False

    def add_image(
        self, number: int, pid: int, path: str, source: int | bytes | None = None
    ) -> bool:
        """Take an image that :meth:`image_frames` is going to name by its number.

        Parameters
        ----------
        number : int
            Of the one who asks; a later image of the same number takes its place.
        pid : int
            A process that runs it, alive or not.
        path : str
            As that process sees it.
        source : int or bytes, optional
            The open file, which the symbolizer takes over even when it fails, or the content (a
            vdso). By default the file is opened by its path, now.

        Returns
        -------
        bool
            Whether the file could be opened.
        """
        try:
            image = self._images.adopt(pid, path, source)
        except Exception as error:
            self._failed(error)
            return False
        if image is None:
            return False
        self._numbered[number] = image
        return True

    def image_frames(
        self,
        numbers: NDArray[np.unsignedinteger[Any]],
        offsets: Addresses,
        *,
        leaf: NDArray[np.bool_] | None = None,
    ) -> FrameIds:
        """Return the frames of places in files.

        Parameters
        ----------
        numbers : numpy.ndarray of uint
            Images, see :meth:`add_image`; those of numbers that were not added are unknown.
        offsets : numpy.ndarray of uint64
            In the images' files, in bytes: not addresses.
        leaf : numpy.ndarray of bool, optional
            As in :meth:`frames_for`.

        Returns
        -------
        numpy.ndarray of uint32
            A frame id per place. Equal to that of :meth:`frames_for` for the same place.
        """
        places = _places(offsets, leaf)
        self._stats.addresses += len(places)
        found = np.full(len(places), UNKNOWN_ID, np.uint32)
        for number in np.unique(numbers).tolist():
            image = self._numbered.get(number)
            if image is None:
                continue
            mine = np.flatnonzero(numbers == number)
            unique, inverse = np.unique(places[mine], return_inverse=True)
            try:
                ids = self._user.image_frames(image, unique)
                found[mine] = ids.astype(np.uint32)[inverse]
            except Exception as error:
                self._failed(error)
        return found

    def process_exited(self, pid: int) -> int:
        """Tell that a process is gone; return how many frames got their name by its perf map."""
        process = self._processes.get(pid)
        if process is None or process.exited:
            return 0
        renamed = self.retry_unresolved(pid)
        process.close()
        self._stats.perfmap_bad_lines += process.perfmap.bad_lines
        exited = [each.pid for each in self._processes.values() if each.exited]
        for oldest in exited[: max(0, len(exited) - MAX_EXITED)]:
            del self._processes[oldest]
        return renamed

    def frames_for(
        self,
        pid: int,
        addresses: Addresses,
        *,
        leaf: NDArray[np.bool_] | None = None,
        time_ns: int | None = None,
    ) -> FrameIds:
        """Return the frames of user addresses of one process.

        Parameters
        ----------
        pid : int
            Process (thread group) id.
        addresses : numpy.ndarray of uint64
            Of any number of stacks, one after the other.
        leaf : numpy.ndarray of bool, optional
            Which addresses are the instruction that ran. The others are return addresses: they
            are looked up one byte before, in the call instruction, since a call may be a
            function's last instruction. By default all are leaves.
        time_ns : int, optional
            Time of the samples (CLOCK_BOOTTIME): which mappings held. By default the last ones.

        Returns
        -------
        numpy.ndarray of uint32
            A frame id per address; see :meth:`new_frames`.
        """
        places = _places(addresses, leaf)
        self._stats.addresses += len(places)
        try:
            return self._user_frames(pid, places, time_ns)
        except Exception as error:
            self._failed(error)
            return np.zeros(len(places), np.uint32)

    def kernel_frames(
        self, addresses: Addresses, *, leaf: NDArray[np.bool_] | None = None
    ) -> FrameIds:
        """Return the frames of kernel addresses; parameters as in :meth:`frames_for`."""
        places = _places(addresses, leaf)
        self._stats.addresses += len(places)
        try:
            unique, inverse = np.unique(places, return_inverse=True)
            return self._kernel.resolve(unique).astype(np.uint32)[inverse]
        except Exception as error:
            self._failed(error)
            return np.zeros(len(places), np.uint32)

    def expand(self, frame_ids: FrameIds) -> tuple[FrameIds, NDArray[np.int64]]:
        """Put the functions that the compiler inlined into stacks.

        Parameters
        ----------
        frame_ids : numpy.ndarray of uint32
            Frames of any number of stacks, leaf first, one stack after the other.

        Returns
        -------
        ids : numpy.ndarray of uint32
            The same frames, each after the ones of kind "inlined" that were running in it.
        counts : numpy.ndarray of int64
            How many ids each frame became, at least 1: the depth of a stack is the sum of its
            frames' counts.

        Notes
        -----
        Frames get their file and line here: :meth:`new_frames` tells them again. Files whose
        debug information is met for the first time are read now, which takes up to
        :data:`workbench.symbols.lines.MAKE_SECONDS` each.
        """
        ids = np.asarray(frame_ids, np.uint32)
        try:
            return self._expander.expand(ids)
        except Exception as error:
            self._failed(error)
            return ids, np.ones(len(ids), np.int64)

    def new_frames(self) -> Any:
        """Return the frames that are new or renamed since the last call.

        Returns
        -------
        pyarrow.RecordBatch
            With the columns of :data:`workbench.schema.FRAMES`. A row whose ``frame_id`` was
            told before replaces that row.
        """
        return self._frames.take()

    def retry_unresolved(self, pid: int | None = None) -> int:
        """Look again for names of code that had none.

        Runtimes write those of JIT code late, and BPF programs come after the kernel's names were
        read. To be called when the capture stops, while its own programs are still loaded;
        :meth:`process_exited` does it for the JIT code of one process.

        Returns
        -------
        int
            How many frames got their name; :meth:`new_frames` has them.
        """
        processes = [self._processes.get(pid)] if pid is not None else self._processes.values()
        renamed = 0
        for process in list(processes):
            try:
                renamed += self._user.retry(process) if process else 0
            except Exception as error:
                self._failed(error)
        if pid is None:
            renamed += self._retry_kernel()
        self._stats.renamed += renamed
        return renamed

    def _retry_kernel(self) -> int:
        try:
            return self._kernel.retry()
        except Exception as error:
            self._failed(error)
            return 0

    def close(self) -> None:
        """Close all files, and end the process that reads debug information."""
        self._expander.close()
        self._images.close()
        for process in self._processes.values():
            process.perfmap.close()

    def _failed(self, error: Exception) -> None:
        self._stats.failures += 1
        self._stats.last_failure = f"{type(error).__name__}: {error}"

    def _add_process(self, pid: int, parent: int = 0) -> bool:
        process = self._processes.get(pid)
        if process is None or not process.is_current():
            status: Status | None = None
            try:
                status = Status.read(pid, self._proc)
            except (OSError, ValueError, IndexError):
                if process is not None:
                    return False
            process = self._open_process(pid, status)
        process.refresh_maps(force=True)
        forked_by = self._processes.get(parent)
        if process.maps.at() is None and forked_by is not None:
            process.inherit(forked_by)
        process.refresh_perfmap(force=True)
        self._user.open_images(process)
        return process.maps.at() is not None

    def _open_process(self, pid: int, status: Status | None) -> TracedProcess:
        """Begin with a process; one of the same id is gone."""
        self.process_exited(pid)
        process = TracedProcess.open(pid, status, self._proc)
        # At the end: the oldest of the processes that are gone are dropped first.
        self._processes.pop(pid, None)
        self._processes[pid] = process
        self._stats.processes += 1
        return process

    def _take_look(self, pid: int, look: Look) -> bool:
        process = self._processes.get(pid)
        if process is None or process.status.start_time != look.status.start_time:
            process = self._open_process(pid, look.status)
        process.take_maps(look.content, look.time_ns)
        for mapping, descriptor in look.files:
            process.images[mapping] = self._images.take(pid, mapping, descriptor)
        process.refresh_perfmap(force=True)
        self._user.open_images(process, known=True)
        return process.maps.at() is not None

    def _user_frames(self, pid: int, places: Addresses, time_ns: int | None) -> FrameIds:
        if pid not in self._processes:
            self._add_process(pid)
        process = self._processes[pid]
        # One that had ended when it was first looked at may have left a perf map.
        snapshot = process.maps.at(time_ns) or process.unmapped
        unique, inverse = np.unique(places, return_inverse=True)
        memo = process.memo(snapshot)
        found = np.array([memo.get(address, -1) for address in unique.tolist()], np.int64)
        news = np.flatnonzero(found < 0)
        if len(news):
            latest = time_ns is None
            ids = self._user.resolve(process, snapshot, unique[news], latest=latest)
            found[news] = ids
            # Where there is no code now a library may be loaded later: ask again next time.
            known = news[ids != UNKNOWN_ID]
            addresses, frames = unique[known].tolist(), found[known].tolist()
            process.memo(snapshot).update(zip(addresses, frames, strict=True))
        return found.astype(np.uint32)[inverse]


def _places(addresses: Addresses, leaf: NDArray[np.bool_] | None) -> Addresses:
    """Return where to look: in the call instruction for return addresses."""
    places = np.asarray(addresses, np.uint64)
    if leaf is None:
        return places
    back = ~np.asarray(leaf, np.bool_) & (places > 0)
    return places - back.astype(np.uint64)
