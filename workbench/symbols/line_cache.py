"""Lookup structures of debug files on disk, so that each is made once: 0.2 s for the C library.

They lie in ``$XDG_CACHE_HOME/workbench/lines`` (XDG Base Directory Specification), which must be a
folder of this user's alone. Their names hold the build id and a checksum of the whole debug file:
who makes a program with another one's build id does not lend it his lines.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
from pathlib import Path

from workbench.cache_home import cache_home

MAX_BYTES = 1 << 30
"""What the cache may hold; the entries not used for longest go first."""
MAX_ENTRIES = 4096

_CHUNK = 1 << 20
_NAME = re.compile(r"[0-9a-z.-]{1,200}")
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def default_directory() -> Path:
    """Return where the cache of this user lies."""
    return cache_home() / "workbench" / "lines"


def fingerprint(descriptor: int) -> str:
    """Return the checksum of a file's content.

    Raises
    ------
    OSError
        It cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    offset = 0
    while part := os.pread(descriptor, _CHUNK, offset):
        digest.update(part)
        offset += len(part)
    return digest.hexdigest()


class LineCache:
    """Files by name, of bounded size in all.

    Parameters
    ----------
    directory : pathlib.Path, optional
        By default this user's.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory or default_directory()
        self._usable: bool | None = None

    def open(self, name: str) -> int:
        """Return a descriptor of an entry, -1 if there is none."""
        if not self._ready(name):
            return -1
        path = self._directory / name
        try:
            descriptor = os.open(path, _FLAGS)
        except OSError:
            return -1
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or not status.st_size:
            os.close(descriptor)
            return -1
        try:
            os.utime(descriptor)
        except OSError:
            pass  # a read-only disk
        return descriptor

    def create(self, name: str) -> tuple[int, str]:
        """Return a descriptor of an empty file, and its path for :meth:`keep` or :meth:`drop`.

        Where nothing can be stored the path is "".
        """
        if self._ready(name):
            try:
                return tempfile.mkstemp(prefix=".", suffix=".part", dir=self._directory)
            except OSError:
                pass  # full or read-only: do without
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), ""

    def keep(self, path: str, name: str) -> None:
        """Make what was written to the file at `path` the entry `name`."""
        if not path:
            return
        try:
            Path(path).replace(self._directory / name)
            self._evict()
        except OSError:
            self.drop(path)

    def drop(self, path: str) -> None:
        """Forget the file at `path`, which :meth:`create` made."""
        if path:
            Path(path).unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Forget an entry."""
        if self._ready(name):
            self.drop(str(self._directory / name))

    def _ready(self, name: str) -> bool:
        if self._usable is None:
            self._usable = self._prepare()
        return self._usable and _NAME.fullmatch(name) is not None and not name.startswith(".")

    def _prepare(self) -> bool:
        """Make the folder; whether it is this user's alone."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self._directory.lstat()
        except (OSError, RuntimeError):
            return False
        own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
        return own and not status.st_mode & 0o022

    def _evict(self) -> None:
        entries = []
        for entry in os.scandir(self._directory):
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue  # another recorder evicted it
            entries.append((status.st_mtime_ns, status.st_size, entry.path))
        total, count = sum(size for _, size, _ in entries), len(entries)
        for _, size, path in sorted(entries)[:-1]:
            if total <= MAX_BYTES and count <= MAX_ENTRIES:
                return
            self.drop(path)
            total, count = total - size, count - 1
