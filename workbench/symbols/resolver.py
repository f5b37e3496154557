"""Makes the frames of addresses that are new: the part of the symbolizer behind its memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workbench.symbols.frame_table import UNKNOWN, Frame, FrameTable
from workbench.symbols.image import Image
from workbench.symbols.image_cache import ImageCache
from workbench.symbols.kallsyms import MODULE_KERNEL, KernelSymbols
from workbench.symbols.mappings import Mapping, Snapshot
from workbench.symbols.process import TracedProcess

ANONYMOUS = "[anon]"
KERNEL_RELOAD_SECONDS = 5.0
"""Least time between readings of kallsyms while a capture runs; BPF programs and modules come
later, and what had no name is looked for again then."""

UNKNOWN_ID = 0
"""The frame of addresses that nothing is known of."""

_WRITABLE_AREAS = ("[heap]", "[stack]")

Addresses = NDArray[np.uint64]
Ids = NDArray[np.int64]


class UserResolver:
    """Makes frames of user addresses.

    Parameters
    ----------
    frames : FrameTable
        Where frames get their numbers.
    images : ImageCache
        Where files are found.
    failed : callable
        Is told errors; the addresses of the mapping that one came from have no names.
    made : callable
        Is told new frames of files that were read: their number, what they are, and their image.

    Attributes
    ----------
    unnamed : int
        Frames made without a function's name.
    """

    def __init__(
        self,
        frames: FrameTable,
        images: ImageCache,
        failed: Callable[[Exception], None],
        made: Callable[[int, Frame, Image], None],
    ) -> None:
        self._made = made
        self._frames = frames
        self._images = images
        self._failed = failed
        self.unnamed = 0

    def open_images(self, process: TracedProcess, *, known: bool = False) -> None:
        """Open the files that a process maps now, while they can be reached.

        Parameters
        ----------
        process : TracedProcess
        known : bool
            Files that lie where another process's did are taken to be the same.
        """
        snapshot = process.maps.at()
        for mapping in snapshot.mappings if snapshot else ():
            image = self._images.known(mapping) if known and mapping.is_file else None
            if image is not None and mapping not in process.images:
                process.images[mapping] = image
            self._image(process, mapping)

    def resolve(
        self, process: TracedProcess, snapshot: Snapshot, addresses: Addresses, *, latest: bool
    ) -> Ids:
        """Return the frames of addresses.

        Parameters
        ----------
        process : TracedProcess
            Whose addresses these are.
        snapshot : Snapshot
            The mappings that held.
        addresses : numpy.ndarray of uint64
            Different addresses.
        latest : bool
            Whether `snapshot` was taken for want of a time: then earlier ones may hold, too.

        Returns
        -------
        numpy.ndarray of int64
            Frame ids; :data:`UNKNOWN_ID` for addresses outside of all executable mappings.
        """
        ids = np.full(len(addresses), UNKNOWN_ID, np.int64)
        open_ = np.arange(len(addresses))
        for candidate in _candidates(process, snapshot, latest):
            index = candidate.lookup(addresses[open_])
            for number in np.unique(index[index >= 0]).tolist():
                inside = open_[index == number]
                mapping = candidate.mappings[number]
                try:
                    ids[inside] = self._mapped(process, snapshot, mapping, addresses[inside])
                except Exception as error:
                    self._failed(error)
            open_ = open_[index < 0]
            if not len(open_):
                return ids
        ids[open_] = self._unmapped(process, snapshot, addresses[open_])
        return ids

    def image_frames(self, image: Image, offsets: Addresses) -> Ids:
        """Return the frames of offsets in the file of an image.

        Parameters
        ----------
        image : Image
            One of the cache's.
        offsets : numpy.ndarray of uint64
            Different offsets.

        Returns
        -------
        numpy.ndarray of int64
            Frame ids. The frames of a file that is no ELF file keep the offset, without a name.
        """
        self._images.load(image)
        if image.build_id or image.status == "ok":
            return self._native(image, offsets)
        return self._nameless(("image", image.number), image.path, offsets)

    def retry(self, process: TracedProcess) -> int:
        """Look again for names of JIT code; return how many were found."""
        process.refresh_perfmap(force=True)
        addresses = list(process.unresolved)
        index = process.perfmap.table.lookup(np.array(addresses, np.uint64))
        renamed = 0
        for address, number in zip(addresses, index.tolist(), strict=True):
            if number >= 0:
                frame, module = process.unresolved.pop(address)
                name = process.perfmap.table.name(number)
                self._frames.replace(frame, Frame(name, module, "", address, "jit"))
                renamed += 1
        return renamed

    def _image(self, process: TracedProcess, mapping: Mapping) -> Image | None:
        if mapping not in process.images:
            process.images[mapping] = self._images.find(process.pid, mapping)
        return process.images[mapping]

    def _mapped(
        self, process: TracedProcess, snapshot: Snapshot, mapping: Mapping, addresses: Addresses
    ) -> Ids:
        image = self._image(process, mapping)
        offsets = addresses - np.uint64(mapping.start) + np.uint64(mapping.offset)
        if image is not None:
            self._images.load(image)
            if image.build_id or image.status == "ok":
                return self._native(image, offsets)
        anonymous = not mapping.path or mapping.path.startswith("[anon")
        if anonymous or mapping.path in _WRITABLE_AREAS:
            return self._jit(process, snapshot, ANONYMOUS, addresses)
        if image is not None:
            # Some runtimes map their code cache as a file (memfd), which is no ELF file.
            return self._jit(process, snapshot, mapping.path, addresses)
        return self._nameless(("file", mapping.path, mapping.inode), mapping.path, offsets)

    def _unmapped(self, process: TracedProcess, snapshot: Snapshot, addresses: Addresses) -> Ids:
        """Return the frames of addresses outside of all mappings that were read.

        A process that has ended cannot be asked any more what it mapped after the last reading;
        its perf map still tells where the code was that it made.
        """
        ids = np.full(len(addresses), UNKNOWN_ID, np.int64)
        process.refresh_perfmap()
        known = process.perfmap.table.lookup(addresses) >= 0
        if known.any():
            ids[known] = self._jit(process, snapshot, ANONYMOUS, addresses[known])
        return ids

    def _native(self, image: Image, offsets: Addresses) -> Ids:
        """Return the frames of places in an ELF file."""
        addresses = image.addresses(offsets)
        symbols, frames, number = image.symbols, self._frames, image.number
        ids = []
        index = symbols.lookup(addresses).tolist()
        for address, symbol in zip(addresses.tolist(), index, strict=True):
            key = (number, address)
            known = frames.find(key)
            if known < 0:
                name = symbols.name(symbol) if symbol >= 0 else self._unnamed(image.path)
                frame = Frame(name, image.path, image.build_id, address, "native")
                known = frames.intern(key, frame)
                self._made(known, frame, image)
            ids.append(known)
        return np.array(ids, np.int64)

    def _jit(
        self, process: TracedProcess, snapshot: Snapshot, module: str, addresses: Addresses
    ) -> Ids:
        """Return the frames of code that a runtime made; they may get other names later."""
        index = process.perfmap.table.lookup(addresses)
        if (index < 0).any() and process.refresh_perfmap():
            index = process.perfmap.table.lookup(addresses)
        process.remember_jit(snapshot, addresses.tolist())
        ids = []
        for address, symbol in zip(addresses.tolist(), index.tolist(), strict=True):
            if symbol >= 0:
                name = process.perfmap.table.name(symbol)
                key: tuple[object, ...] = ("jit", process.number, address, name)
                ids.append(self._frames.intern(key, Frame(name, module, "", address, "jit")))
                continue
            key = ("anon", process.number, address)
            known = self._frames.find(key)
            if known < 0:
                frame = Frame(self._unnamed(module), module, "", address, "unknown")
                known = self._frames.intern(key, frame)
                process.remember_unresolved(address, known, module)
            ids.append(known)
        return np.array(ids, np.int64)

    def _nameless(self, owner: tuple[object, ...], module: str, offsets: Addresses) -> Ids:
        """Return frames that keep the offset in a file which could not be opened or read."""
        ids = []
        for offset in offsets.tolist():
            key = (*owner, offset)
            known = self._frames.find(key)
            if known < 0:
                frame = Frame(self._unnamed(module), module, "", offset, "native")
                known = self._frames.intern(key, frame)
            ids.append(known)
        return np.array(ids, np.int64)

    def _unnamed(self, module: str) -> str:
        self.unnamed += 1
        return bracketed(module)


class KernelResolver:
    """Makes frames of kernel addresses.

    Parameters
    ----------
    frames : FrameTable
        Where frames get their numbers.
    path : pathlib.Path
        The kallsyms file; read when the first address is asked for.

    Attributes
    ----------
    status : str
        Of the symbols, see :class:`~workbench.symbols.kallsyms.KernelSymbols`.
    """

    def __init__(self, frames: FrameTable, path: Path) -> None:
        self._frames = frames
        self._path = path
        self._symbols: KernelSymbols | None = None
        self._loaded = 0.0
        self._memo: dict[int, int] = {}
        self._pending: dict[int, int] = {}
        self.unnamed = 0

    @property
    def status(self) -> str:
        """Status of the symbols, "" before they were read."""
        return self._symbols.status if self._symbols else ""

    def resolve(self, addresses: Addresses) -> Ids:
        """Return the frames of addresses."""
        news = [address for address in addresses.tolist() if address not in self._memo]
        if news:
            self._memo.update(zip(news, self._make(news), strict=True))
        return np.array([self._memo[address] for address in addresses.tolist()], np.int64)

    def _make(self, addresses: list[int]) -> list[int]:
        places = np.array(addresses, np.uint64)
        symbols = self._symbols or self._load()
        index = symbols.lookup(places)
        if (index < 0).any() and time.monotonic() - self._loaded > KERNEL_RELOAD_SECONDS:
            self._rename()
            index = (self._symbols or symbols).lookup(places)
        return [self._frame(*each) for each in zip(addresses, index.tolist(), strict=True)]

    def _frame(self, address: int, symbol: int) -> int:
        if symbol >= 0 and self._symbols:
            frame = Frame(*self._symbols.name(symbol), "", address, "kernel")
            return self._frames.intern(("kernel", address), frame)
        frame = Frame(bracketed(MODULE_KERNEL), MODULE_KERNEL, "", address, "kernel")
        number = self._pending[address] = self._frames.intern(("kernel", address), frame)
        self.unnamed += 1
        return number

    def retry(self) -> int:
        """Read kallsyms anew and look for what had no name: BPF programs that were loaded later.

        Returns
        -------
        int
            How many frames got their name.
        """
        return self._rename() if self._pending and self.status == "ok" else 0

    def _rename(self) -> int:
        symbols, addresses = self._load(), list(self._pending)
        index = symbols.lookup(np.array(addresses, np.uint64)).tolist()
        found = [pair for pair in zip(addresses, index, strict=True) if pair[1] >= 0]
        for address, symbol in found:
            frame = Frame(*symbols.name(symbol), "", address, "kernel")
            self._frames.replace(self._pending.pop(address), frame)
        self.unnamed -= len(found)
        return len(found)

    def _load(self) -> KernelSymbols:
        self._symbols = KernelSymbols.load(self._path)
        self._loaded = time.monotonic()
        return self._symbols


def bracketed(module: str) -> str:
    """Return what stands for a function of a module that has no name.

    As ``stackcollapse-perf.pl`` writes it: ``/usr/lib/libc.so.6`` becomes ``[libc.so.6]``.
    """
    if module.startswith("["):
        return module
    return f"[{module.rpartition('/')[2]}]" if module.strip("/") else UNKNOWN


def _candidates(process: TracedProcess, snapshot: Snapshot, latest: bool) -> Iterator[Snapshot]:
    """Yield the mappings that may have held, the likeliest first; the later ones are read anew."""
    yield snapshot
    process.refresh_maps()
    yield from process.maps.after(snapshot)
    if latest:
        yield from (each for each in reversed(process.maps.snapshots) if each is not snapshot)
