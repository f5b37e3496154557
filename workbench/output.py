"""Where a capture leaves its session, and what becomes of an older one at that place."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
import zipfile
from contextlib import suppress
from pathlib import Path

from workbench.errors import ParameterError, StorageError
from workbench.store.lock import is_live

# What a session's directory may hold; the rest of the rule is in _is_session().
OWN_FILES = re.compile(r"manifest\.json|recorder\.pid|[a-z]\w*\.(arrows|parquet)|.*\.part")


def choose(output: str | os.PathLike[str] | None, kinds: list[str]) -> str:
    """Return the path of a new session: the one given, or a private temporary directory.

    Raises
    ------
    StorageError, ParameterError
    """
    if output is None:
        folder = Path(tempfile.gettempdir()) / f"workbench-{os.getuid()}"
        stamp = time.strftime("%Y%m%d-%H%M%S")
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                raise StorageError(f"{folder} belongs to another user.", advice="Give output=.")
            return tempfile.mkdtemp(".wb", f"{stamp}-{'-'.join(kinds)}-", folder)
        except OSError as error:
            raise StorageError(
                f"No session can be made in {folder}.", why=str(error), advice="Give output=."
            ) from error
    try:
        return str(Path(os.fsdecode(output)).absolute())
    except TypeError as error:
        raise ParameterError(f"output must be a path, not {output!r}.") from error


def check_room(path: Path, overwrite: bool) -> None:
    """Check that a session may be made at ``path``.

    Raises
    ------
    StorageError
        There is something that may not be overwritten: anything without ``overwrite``, with it
        what is no session or is being recorded.
    """
    if not path.parent.is_dir():
        raise StorageError(f"There is no directory {path.parent}.", advice="Make it first.")
    if not _occupied(path):
        return
    if not overwrite:
        raise StorageError(
            f"{path} exists already.",
            advice="Choose another name, or overwrite it: --force, overwrite=True.",
        )
    if not _is_session(path):
        raise StorageError(f"{path} is not a session, so it is not overwritten.")
    if path.is_dir() and is_live(path):
        raise StorageError(f"{path} is being recorded.", advice="Stop that capture first.")


class OldSession:
    """The session at the place of a new one: out of the way, until the new one has begun.

    Parameters
    ----------
    path : Path
        Checked by :func:`check_room`.

    Raises
    ------
    StorageError
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._aside: Path | None = None
        if _occupied(path):
            self._aside = path.with_name(f".{path.name}.{os.getpid()}.old")
            try:
                path.rename(self._aside)
            except OSError as error:
                raise StorageError(f"{path} cannot be overwritten.", why=str(error)) from error

    def restore(self) -> None:
        """Put it back: there is no new one."""
        if self._aside is not None:
            with suppress(OSError):  # something new is there after all: both are kept
                if self._path.is_dir():
                    self._path.rmdir()
                self._aside.rename(self._path)
            self._aside = None

    def remove(self) -> None:
        """Remove it for good."""
        if self._aside is not None:
            if self._aside.is_dir():
                shutil.rmtree(self._aside, ignore_errors=True)
            else:
                self._aside.unlink(missing_ok=True)
            self._aside = None


def _occupied(path: Path) -> bool:
    return path.is_file() or (path.is_dir() and any(path.iterdir()))


def _is_session(path: Path) -> bool:
    if path.is_file():
        return path.suffix == ".wb" or zipfile.is_zipfile(path)
    files = list(path.iterdir())
    if any(not f.is_file() or not OWN_FILES.fullmatch(f.name) for f in files):
        return False
    try:  # other programs have a manifest.json, too
        return {"format", "kinds"} <= set(json.loads((path / "manifest.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return (path / "recorder.pid").exists()
