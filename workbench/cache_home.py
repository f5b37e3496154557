"""Where a user's caches lie."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path


def cache_home(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the user's caches (XDG Base Directory Specification).

    Parameters
    ----------
    environment : mapping of str to str
        ``XDG_CACHE_HOME`` counts if it is absolute, as that specification asks; else it is
        ``~/.cache``.
    """
    base = Path(environment.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():
        return base
    return Path(os.path.expanduser("~/.cache"))  # noqa: PTH111 - Path.expanduser may raise


def is_private(directory: Path) -> bool:
    """Make the directory if need be; return whether nobody else can write there."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.lstat()
    except OSError:
        return False
    own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    return own and not status.st_mode & 0o077
