"""Debug files from debuginfod servers, where ``DEBUGINFOD_URLS`` names some.

The protocol and the environment's variables are those of debuginfod(8) and
debuginfod_find_debuginfo(3): ``GET URL/buildid/BUILDID/debuginfo``. Files are kept where the client
of elfutils keeps them, so gdb, perf and this share what was fetched. Used after a capture, never
while one runs: a server may take its time.
"""

from __future__ import annotations

import os
import re
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

TIMEOUT_S = 90.0
"""Longest time without any progress; the default of ``DEBUGINFOD_TIMEOUT``."""
MAX_BYTES = 4 << 30
"""Larger files are not fetched, unless ``DEBUGINFOD_MAXSIZE`` says another number."""

_BUILD_ID = re.compile(r"[0-9a-f]{4,128}")
_CHUNK = 1 << 20


@dataclass
class Debuginfod:
    """Fetches debug files by build id.

    Parameters
    ----------
    urls : tuple of str
        Servers, in the order to ask them.
    directory : Path
        Where files are kept: ``BUILDID/debuginfo``.
    timeout : float
        Longest time without progress, in seconds.
    max_bytes : int
        Of one file.

    Attributes
    ----------
    failures : dict of str to str
        Build ids whose file could not be fetched, and why; they are not asked for again.
    """

    urls: tuple[str, ...]
    directory: Path
    timeout: float = TIMEOUT_S
    max_bytes: int = MAX_BYTES
    failures: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Debuginfod | None:
        """Return what the environment asks for; None where it names no server."""
        words = environment.get("DEBUGINFOD_URLS", "").split()
        urls = tuple(word.rstrip("/") for word in words if word.startswith(("http://", "https://")))
        if not urls:
            return None
        return cls(
            urls,
            _directory(environment),
            _number(environment.get("DEBUGINFOD_TIMEOUT", ""), TIMEOUT_S),
            int(_number(environment.get("DEBUGINFOD_MAXSIZE", ""), MAX_BYTES)),
        )

    def __call__(self, build_id: str) -> Path | None:
        """Return the debug file of a build id, fetched unless it was before; None without one.

        Whether it is the right file is for the caller to check.
        """
        if not _BUILD_ID.fullmatch(build_id) or build_id in self.failures:
            return None
        place = self.directory / build_id / "debuginfo"
        if place.is_file() and place.stat().st_size:
            return place
        why = ""
        for url in self.urls:
            try:
                self._fetch(f"{url}/buildid/{build_id}/debuginfo", place)
            except (OSError, ValueError) as error:  # URLError and HTTPError are OSErrors
                why = str(error) or type(error).__name__
            else:
                return place
        self.failures[build_id] = why
        return None

    def _fetch(self, url: str, place: Path) -> None:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd, temporary = tempfile.mkstemp(prefix=".", dir=place.parent)
        try:
            with (
                os.fdopen(fd, "wb") as file,
                urllib.request.urlopen(url, timeout=self.timeout) as answer,  # noqa: S310 - http(s)
            ):
                _copy(answer, file, self.max_bytes)
            os.replace(temporary, place)  # noqa: PTH105 - both are on the same file system
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
            raise


def _copy(answer: IO[bytes], file: IO[bytes], limit: int) -> None:
    size = 0
    while part := answer.read(_CHUNK):
        size += len(part)
        if size > limit:
            raise ValueError(f"more than {limit:,} bytes")
        file.write(part)


def _directory(environment: Mapping[str, str]) -> Path:
    if environment.get("DEBUGINFOD_CACHE_PATH"):
        return Path(environment["DEBUGINFOD_CACHE_PATH"])
    base = Path(environment.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        base = Path(os.path.expanduser("~/.cache"))  # noqa: PTH111 - Path.expanduser may raise
    return base / "debuginfod_client"


def _number(text: str, default: float) -> float:
    try:
        number = float(text)
    except ValueError:
        return default
    return number if number > 0 else default
