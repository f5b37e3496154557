"""Separate debug files: what was stripped from a program, and is kept beside it or elsewhere.

Two ways lead there (GDB manual, "Debugging Information in Separate Files"): the build id, as
``DIRECTORY/.build-id/ab/cdef....debug``, and the section ``.gnu_debuglink``, which names a file and
its CRC-32 (beside the program, in its folder ``.debug``, or under ``DIRECTORY`` + its folder). A
third, ``.gnu_debugdata``, holds a small file within the program (:mod:`.mini_debuginfo`).

Whoever made the program made the link as well: only bare names are followed, only regular files
are opened, and a file counts only if its build id, or its CRC, is the right one.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from workbench.elf import Elf
from workbench.elf_format import MAX_NAME, SHT_NOBITS
from workbench.errors import ObjectFormatError
from workbench.symbols.regular import open_regular

DIRECTORIES = (Path("/usr/lib/debug"),)
MAX_CRC_BYTES = 1 << 30
"""Larger files are taken by their build id only: reading this much takes a second."""

_BUILD_ID = re.compile(r"[0-9a-f]{4,128}")
_CHUNK = 1 << 20


@dataclass(frozen=True)
class DebugFiles:
    """Finds the separate debug file of a program.

    Parameters
    ----------
    directories : tuple of pathlib.Path
        Where debug files are kept; in the root directory of a traced process, too.
    fetch : callable, optional
        From a build id to the path of a file that was fetched, or None; asked last.
    """

    directories: tuple[Path, ...] = DIRECTORIES
    fetch: Callable[[str], Path | None] | None = None

    def find(
        self, elf: Elf, path: str, root: str = "", wanted: Callable[[Elf], bool] | None = None
    ) -> Elf | None:
        """Return the debug file of a program, open.

        Parameters
        ----------
        elf : Elf
            The program.
        path : str
            Where it is, as its process sees it.
        root : str
            Root directory of that process, such as ``/proc/1/root``.
        wanted : callable, optional
            Whether a debug file holds what is looked for; by default the first is taken.

        Returns
        -------
        Elf or None
            For the caller to close.
        """
        for found in self._candidates(elf, path, root):
            if wanted is None or wanted(found):
                return found
            found.close()
        return None

    def _candidates(self, elf: Elf, path: str, root: str) -> Iterator[Elf]:
        roots = dict.fromkeys((root, ""))
        build_id = elf.build_id if _BUILD_ID.fullmatch(elf.build_id) else ""
        if build_id:
            name = by_build_id(build_id)
            for place in [f"{r}{folder}/{name}" for r in roots for folder in self.directories]:
                yield from opened(place, build_id)
        link = debug_link(elf)
        if link is not None:
            name, crc = link
            for folder in self._link_folders(path):
                for place in [f"{r}{folder}/{name}" for r in roots]:
                    yield from opened(place, build_id, crc)
        if build_id and self.fetch is not None:
            fetched = self.fetch(build_id)
            if fetched is not None:
                yield from opened(str(fetched), build_id)

    def _link_folders(self, path: str) -> list[str]:
        folder = str(PurePosixPath(path).parent)
        if not folder.startswith("/"):
            return []
        plain = folder.rstrip("/")
        return [plain, f"{plain}/.debug", *(f"{each}{plain}" for each in self.directories)]


def debug_link(elf: Elf) -> tuple[str, int] | None:
    """Return the file name and CRC-32 of ``.gnu_debuglink``; None if there is no usable link.

    The name ends in a zero byte; the CRC follows at the next multiple of four, in the file's byte
    order.
    """
    section = elf.sections.get(".gnu_debuglink")
    if section is None or not 6 <= section.size <= MAX_NAME:
        return None
    try:
        content = elf.section_bytes(section)
    except ObjectFormatError:
        return None
    name, zero, _ = content.partition(b"\0")
    at = len(name) + 1 + 3 & ~3
    if not zero or at + 4 > len(content) or b"/" in name or name in (b"", b".", b".."):
        return None
    order = "<" if elf.byteorder == "little" else ">"
    return os.fsdecode(name), int(struct.unpack_from(f"{order}I", content, at)[0])


def has_lines(elf: Elf) -> bool:
    """Return whether a file holds DWARF debug information."""
    sections = (elf.sections.get(name) for name in (".debug_info", ".zdebug_info"))
    return any(each is not None and each.type != SHT_NOBITS and each.size for each in sections)


def crc32(descriptor: int) -> int | None:
    """Return the CRC-32 of a file, None if it is too large or cannot be read."""
    value = offset = 0
    try:
        while part := os.pread(descriptor, _CHUNK, offset):
            value = zlib.crc32(part, value)
            offset += len(part)
            if offset > MAX_CRC_BYTES:
                return None
    except OSError:
        return None
    return value


def by_build_id(build_id: str) -> str:
    """Return where a folder of debug files holds that of a build id."""
    return f".build-id/{build_id[:2]}/{build_id[2:]}.debug"


def opened(path: str, build_id: str, crc: int | None = None) -> Iterator[Elf]:
    """Yield the ELF file at `path`, open, if it has that build id or, without any, that CRC."""
    for descriptor, _ in open_regular(path):
        try:
            elf = Elf(descriptor, path)
        except ObjectFormatError:
            return
        if _belongs(elf, descriptor, build_id, crc):
            yield elf
        else:
            elf.close()


def _belongs(elf: Elf, descriptor: int, build_id: str, crc: int | None) -> bool:
    if build_id and elf.build_id:
        return elf.build_id == build_id
    return crc is not None and crc32(descriptor) == crc
