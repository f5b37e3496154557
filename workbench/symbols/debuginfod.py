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

from workbench.cache_home import cache_home
from workbench.elf import Elf
from workbench.errors import ObjectFormatError

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
    _gone: set[str] = field(default_factory=set)

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

        One that was there before is for the caller to check.
        """
        if not _BUILD_ID.fullmatch(build_id) or build_id in self.failures:
            return None
        place = self.directory / build_id / "debuginfo"
        if place.is_file() and place.stat().st_size:
            return place
        why = "no server can be reached"
        for url in [each for each in self.urls if each not in self._gone]:
            try:
                self._fetch(f"{url}/buildid/{build_id}/debuginfo", build_id, place)
            except (OSError, ValueError, ObjectFormatError) as error:
                why = str(error) or type(error).__name__
                # Others than HTTPError: it does not answer, and would not the next time.
                if type(error) is urllib.error.URLError:
                    self._gone.add(url)
            else:
                return place
        self.failures[build_id] = why
        return None

    def _fetch(self, url: str, build_id: str, place: Path) -> None:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd, temporary = tempfile.mkstemp(prefix=".", dir=place.parent)
        try:
            with (
                os.fdopen(fd, "wb") as file,
                urllib.request.urlopen(url, timeout=self.timeout) as answer,  # noqa: S310 - http(s)
            ):
                _copy(answer, file, self.max_bytes)
            with Elf.open(temporary) as elf:
                _check(elf, build_id)
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


def _check(elf: Elf, build_id: str) -> None:
    if elf.build_id != build_id:
        raise ValueError(f"a file with the build id {elf.build_id or 'none'}")


def _directory(environment: Mapping[str, str]) -> Path:
    if environment.get("DEBUGINFOD_CACHE_PATH"):
        return Path(environment["DEBUGINFOD_CACHE_PATH"])
    return cache_home(environment) / "debuginfod_client"


def _number(text: str, default: float) -> float:
    try:
        number = float(text)
    except ValueError:
        return default
    return number if number > 0 else default
