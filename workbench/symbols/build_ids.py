"""Finds programs and debug files by their build id, in folders that a user names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workbench.elf import Elf
from workbench.elf_format import SHT_SYMTAB
from workbench.errors import ObjectFormatError
from workbench.symbols.debug_files import DIRECTORIES, by_build_id, has_lines, opened
from workbench.symbols.regular import open_regular

MAX_FILES = 100_000
"""Files that are looked at in all folders together."""
_MAGIC = b"\x7fELF"
_MOST = 2


@dataclass
class BuildIds:
    """Files by build id.

    Parameters
    ----------
    search : sequence of Path
        Files, and folders that are looked through with all that is below them.
    fetch : callable, optional
        From a build id to the path of a file, or None; asked last.
    """

    search: Sequence[Path] = ()
    fetch: Callable[[str], Path | None] | None = None
    _index: dict[str, list[str]] | None = field(default=None, init=False)

    def best(self, build_id: str, module: str) -> Elf | None:
        """Return the file that tells most of a module, open.

        Parameters
        ----------
        build_id : str
            Only files with this one count.
        module : str
            Where the module was on the machine of the capture.

        Returns
        -------
        Elf or None
            One with debug information, else one with a symbol table, else any; for the caller
            to close.
        """
        found: Elf | None = None
        for path in self._paths(build_id, module):
            for elf in opened(path, build_id):
                if found is None or _worth(elf) > _worth(found):
                    found, elf = elf, found  # noqa: PLW2901 - the lesser one is closed
                if elf is not None:
                    elf.close()
            if found is not None and _worth(found) == _MOST:
                break
        return found

    def _paths(self, build_id: str, module: str) -> Iterator[str]:
        yield from self._searched().get(build_id, ())
        yield module
        for folder in DIRECTORIES:
            yield f"{folder}/{by_build_id(build_id)}"
        fetched = self.fetch(build_id) if self.fetch is not None else None
        if fetched is not None:
            yield str(fetched)

    def _searched(self) -> dict[str, list[str]]:
        """Return the files in the folders by their build id; looked through once."""
        if self._index is None:
            self._index = {}
            for number, path in enumerate(_files(self.search)):
                if number >= MAX_FILES:
                    break
                build_id = _build_id(path)
                if build_id:
                    self._index.setdefault(build_id, []).append(path)
        return self._index


def _files(search: Sequence[Path]) -> Iterator[str]:
    for place in search:
        if place.is_dir():
            for folder, folders, names in os.walk(place):
                folders.sort()
                yield from (f"{folder}/{name}" for name in sorted(names))
        else:
            yield str(place)


def _build_id(path: str) -> str:
    for descriptor, _ in open_regular(path):
        if os.pread(descriptor, len(_MAGIC), 0) != _MAGIC:
            os.close(descriptor)
            return ""
        try:
            with Elf(descriptor, path) as elf:
                return elf.build_id
        except ObjectFormatError:
            return ""
    return ""


def _worth(elf: Elf) -> int:
    if has_lines(elf):
        return _MOST
    return int(".symtab" in elf.sections and bool(len(elf.symbols(SHT_SYMTAB))))
