"""Where a user's caches lie."""

from __future__ import annotations

import os
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
