"""All images of a capture, shared by its processes and kept within limits."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from workbench.symbols.debug_files import DebugFiles
from workbench.symbols.image import Image, open_mapping, read_vdso
from workbench.symbols.mappings import Mapping
from workbench.symbols.regular import Identity, open_regular

MAX_OPEN = 256
"""Files held open until their symbols are needed; a user has 1,024 descriptors."""
MAX_WITH_LINES = 256
"""Files with debug information held open until their lines are needed."""
MAX_SYMBOLS = 1 << 24
"""Symbols in memory, about 50 bytes each with their names."""

MAX_PLACES = 1 << 16

VDSO = "[vdso]"


class ImageCache:
    """Finds the image of a mapping.

    Parameters
    ----------
    proc : pathlib.Path
        Where procfs is mounted.
    debug_files : DebugFiles, optional
        Where separate debug files are looked for.

    Attributes
    ----------
    missing : int
        Mappings whose file could not be opened.
    """

    def __init__(self, proc: Path = Path("/proc"), debug_files: DebugFiles | None = None) -> None:
        self._proc = proc
        self._debug_files = debug_files or DebugFiles()
        self._images: dict[Identity | int, Image] = {}
        self._places: dict[tuple[tuple[int, int], int], Image] = {}
        self._open: dict[int, Image] = {}
        self._used: dict[int, Image] = {}
        self._with_lines: dict[int, Image] = {}
        self._numbers = itertools.count(1)
        self.missing = 0

    def __len__(self) -> int:
        return len(self._images)

    def find(self, pid: int, mapping: Mapping) -> Image | None:
        """Return the image of a mapping, opened but perhaps not read; None if out of reach."""
        if mapping.path == VDSO:
            return self._vdso(pid, mapping)
        if not mapping.is_file:
            return None
        found = open_mapping(pid, mapping, self._proc)
        if found is None:
            image = self.known(mapping)
            self.missing += image is None
            return image
        descriptor, identity, reopen = found
        root = f"{self._proc}/{pid}/root"
        image = self._file(mapping.path, descriptor, identity, reopen, root)
        return self._remember(mapping, image)

    def known(self, mapping: Mapping) -> Image | None:
        """Return the image that was met last where a mapping's file lies, if there was one."""
        return self._places.get((mapping.device, mapping.inode))

    def take(self, pid: int, mapping: Mapping, descriptor: int) -> Image | None:
        """Return the image of a mapping whose file is open; the cache takes it over."""
        image = self.adopt(pid, mapping.path, descriptor)
        return self._remember(mapping, image) if image else None

    def adopt(self, pid: int, path: str, source: int | bytes | None = None) -> Image | None:
        """Return the image of a file that somebody else found.

        Parameters
        ----------
        pid : int
            A process that maps it.
        path : str
            As that process sees it.
        source : int or bytes, optional
            The open file, which the cache takes over, or its content (a vdso). By default the
            file is opened by its path: through the process's root directory, else as it is.

        Returns
        -------
        Image or None
            The same one that :meth:`find` gives for this file; None if out of reach.
        """
        if isinstance(source, bytes):
            return self._content(path, source)
        root = f"{self._proc}/{pid}/root"
        if source is not None:
            try:
                identity = Identity.of(os.fstat(source))
                return self._file(path, source, identity, root + path, root)
            except OSError:
                self.missing += 1
                return None
        for place in (root + path, path):
            for descriptor, identity in open_regular(place):
                return self._file(path, descriptor, identity, place, root)
        self.missing += 1
        return None

    def load(self, image: Image) -> None:
        """Read the symbols of an image; those of images not used for long are forgotten."""
        image.load()
        self._open.pop(image.number, None)
        if image.lines >= 0:
            self._with_lines[image.number] = image
            if len(self._with_lines) > MAX_WITH_LINES:
                self._with_lines.pop(next(iter(self._with_lines))).close_lines()
        self._used.pop(image.number, None)
        self._used[image.number] = image
        total = sum(len(each.symbols) for each in self._used.values())
        for number, oldest in list(self._used.items())[:-1]:
            if total <= MAX_SYMBOLS:
                break
            if not oldest.reopen:
                continue
            total -= len(oldest.symbols)
            oldest.release()
            del self._used[number]

    def close(self) -> None:
        """Close all files."""
        for image in self._images.values():
            image.close()
        self._open.clear()
        self._with_lines.clear()

    def _remember(self, mapping: Mapping, image: Image) -> Image:
        if len(self._places) > MAX_PLACES:
            self._places.clear()
        self._places[mapping.device, mapping.inode] = image
        return image

    def _hold(self, image: Image) -> None:
        """Keep the file open, so that it can be read when its process is gone."""
        self._open[image.number] = image
        if len(self._open) > MAX_OPEN:
            # Read now: perhaps nobody can open it again later.
            self.load(self._open[next(iter(self._open))])

    def _vdso(self, pid: int, mapping: Mapping) -> Image | None:
        """Return the vdso; all processes whose vdso has one size have the same."""
        image = self._images.get(mapping.end - mapping.start)
        return image or self._content(VDSO, read_vdso(pid, mapping, self._proc))

    def _content(self, path: str, content: bytes) -> Image | None:
        if not content:
            return None
        image = self._images.get(len(content))
        if image is None:
            image = self._images[len(content)] = Image(next(self._numbers), path, content)
        return image

    def _file(
        self, path: str, descriptor: int, identity: Identity, reopen: str, root: str
    ) -> Image:
        image = self._images.get(identity)
        if image is not None:
            os.close(descriptor)
            return image
        number = next(self._numbers)
        image = Image(number, path, descriptor, reopen, identity, root, self._debug_files)
        self._images[identity] = image
        self._hold(image)
        return image
