"""Unwind tables on disk, by build id, so that a large program is parsed once.

The files lie in ``$XDG_CACHE_HOME/workbench/unwind/`` (XDG Base Directory Specification), which is
the user's alone. A build id is what the maker of a file says it is: a table counts only for a file
with the same unwind information, and a file that lies about its build id changes nothing for the
one that it copied it from. Nothing here fails: without a cache, tables are parsed.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np

from workbench.cache_home import cache_home, is_private
from workbench.elf import Elf
from workbench.errors import ObjectFormatError
from workbench.symbols.debug_files import DebugFiles
from workbench.unwind.debug_frame import debug_frame, separate_debug_frame
from workbench.unwind.eh_frame import eh_frame, is_supported, make_table
from workbench.unwind.entries import FrameSection
from workbench.unwind.startup_code import with_startup_code
from workbench.unwind.table import MAX_ROWS, Source, Status, UnwindTable

FORMAT = 2
"""To be raised with any change of the rows that are made of the same file."""
MAX_CACHE_BYTES = 256 << 20
MAX_FILES = 4096
MIN_BYTES = 1 << 14
"""Unwind information that is smaller is parsed as fast as a file is read."""
STALE_S = 3600.0
"""Age of a half-written file that nobody will finish."""

_BUILD_ID = re.compile(r"[0-9a-f]{8,128}")
_MAGIC = b"wbunwind"
_DIGEST = 32
_HEADER = struct.Struct(f"<8sIIIBBH{_DIGEST}s{_DIGEST}s")
"""Magic, format, rows, bad rows, source, status, zero; digests of the unwind information that the
table was made of, and of the rows and all fields before."""
_SOURCES: tuple[Source, ...] = get_args(Source)
_STATUSES: tuple[Status, ...] = get_args(Status)


def load(elf: Elf, build_id: str) -> UnwindTable:
    """Return the unwind table of a file, from the cache if it is there.

    Parameters
    ----------
    elf : Elf
        The open file.
    build_id : str
        Its build id as hexadecimal text; tables of files without one are not kept.

    Raises
    ------
    ObjectFormatError
        The file's unwind information is damaged or too large.
    """
    return TableCache().load(elf, build_id)


def default_directory() -> Path:
    """Return where tables are kept."""
    return cache_home() / "workbench" / "unwind"


@dataclass(frozen=True)
class TableCache:
    """Tables in a directory.

    Parameters
    ----------
    directory : pathlib.Path, optional
        Made if it is missing. Not used if others may write there.
    debug_files : DebugFiles
        Where the ``.debug_frame`` of stripped files is looked for.
    max_bytes : int
        Of all its files together; those that were not used for the longest time go first.
    """

    directory: Path | None = None
    max_bytes: int = MAX_CACHE_BYTES
    debug_files: DebugFiles = field(default_factory=DebugFiles)

    def load(self, elf: Elf, build_id: str) -> UnwindTable:
        """Return the table of a file; see :func:`load`."""
        if not is_supported(elf):
            return UnwindTable(status="unsupported_machine")
        return with_startup_code(elf, self._load(elf, build_id))

    def _load(self, elf: Elf, build_id: str) -> UnwindTable:
        own = [section for section in (eh_frame(elf), debug_frame(elf)) if section]
        separate = None
        if all(section.eh for section in own):
            separate = separate_debug_frame(elf, self.debug_files)
        sections = [*own, separate] if separate else own
        size = sum(len(section.data) for section in sections)
        place = self._place(build_id) if size >= MIN_BYTES else None
        if place is None:
            return _made(elf, own, separate)
        made_of = _digest_of(elf, sections)
        found = _read(place, made_of)
        if found is None:
            found = _made(elf, own, separate)
            self._write(place, found, made_of)
        return found

    def _place(self, build_id: str) -> Path | None:
        directory = self.directory or default_directory()
        if not _BUILD_ID.fullmatch(build_id) or not is_private(directory):
            return None
        return directory / build_id

    def _write(self, place: Path, table: UnwindTable, made_of: bytes) -> None:
        temporary = ""
        try:
            fd, temporary = tempfile.mkstemp(prefix=".", dir=place.parent)
            with os.fdopen(fd, "wb") as file:
                file.write(_packed(table, made_of))
            os.replace(temporary, place)  # noqa: PTH105 - both are on the same file system
        except OSError:  # the disk is full, for instance
            if temporary:
                with suppress(OSError):
                    os.unlink(temporary)  # noqa: PTH108
            return
        self._evict(place.parent)

    def _evict(self, directory: Path) -> None:
        files = []
        with suppress(OSError), os.scandir(directory) as entries:
            for entry in entries:
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    files.append((status.st_mtime, status.st_size, entry))
        files.sort(key=lambda each: each[0], reverse=True)
        total, now = 0, time.time()
        for count, (used, size, entry) in enumerate(files):
            total += size
            half = entry.name.startswith(".")
            if total > self.max_bytes or count >= MAX_FILES or (half and now - used > STALE_S):
                with suppress(OSError):
                    os.unlink(entry.path)  # noqa: PTH108
                total -= size


def _made(elf: Elf, own: list[FrameSection], separate: FrameSection | None) -> UnwindTable:
    """Make a table; a damaged separate file is no worse than none."""
    if separate is not None:
        with suppress(ObjectFormatError):
            return make_table(elf, [*own, separate])
    return make_table(elf, own)


def _digest_of(elf: Elf, sections: list[FrameSection]) -> bytes:
    """Return a digest of all that a table is made of."""
    digest = hashlib.blake2b(digest_size=_DIGEST)
    for section in sections:
        digest.update(
            repr((section.address, section.eh, section.limit, len(section.data))).encode()
        )
        digest.update(section.data)
    digest.update(repr(elf.loads).encode())
    return digest.digest()


def _packed(table: UnwindTable, made_of: bytes) -> bytes:
    rows = table.rows.astype("<u8").tobytes()
    source, status = _SOURCES.index(table.source), _STATUSES.index(table.status)
    fields = (_MAGIC, FORMAT, len(table.rows), table.bad_rows, source, status, 0, made_of)
    check = _check(_HEADER.pack(*fields, bytes(_DIGEST)), rows)
    return _HEADER.pack(*fields, check) + rows


def _check(header: bytes, rows: bytes) -> bytes:
    return hashlib.blake2b(header[:-_DIGEST] + rows, digest_size=_DIGEST).digest()


def _read(place: Path, made_of: bytes) -> UnwindTable | None:
    """Return a kept table; None if there is none, or it is not one to be trusted."""
    try:
        fd = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return None
            content = file.read(_HEADER.size + 8 * MAX_ROWS + 1)
            os.utime(fd)  # the oldest are evicted
    except OSError:
        return None
    return _unpacked(content, made_of)


def _unpacked(content: bytes, made_of: bytes) -> UnwindTable | None:
    if len(content) < _HEADER.size:
        return None
    header, rows = content[: _HEADER.size], content[_HEADER.size :]
    magic, version, count, bad, source, status, _, origin, check = _HEADER.unpack(header)
    right = (magic, version, origin) == (_MAGIC, FORMAT, made_of) and len(rows) == 8 * count
    if not right or check != _check(header, rows):
        return None
    found = np.frombuffer(rows, "<u8").astype(np.uint64, copy=False)
    return UnwindTable(found, bad, _SOURCES[source], _STATUSES[status])
