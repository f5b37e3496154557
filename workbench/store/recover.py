"""Finishing a session whose recorder died: what it had flushed becomes Parquet."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from workbench.errors import SessionError
from workbench.store.reader import DIED, open_store
from workbench.store.writer import finish_directory, remove_streams, write_manifest


def recover(path: str | os.PathLike[str]) -> Path:
    """Finish a session directory whose recorder died.

    Opening such a session needs no recovery; this makes it small, and one that
    :func:`workbench.store.archive.pack` accepts. Doing it twice does no harm.

    Parameters
    ----------
    path : path
        The directory.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    SessionError
        The session is still being recorded.
    SessionCorruptError
        What was flushed is damaged.
    StorageError
        The disk is full or the directory cannot be written.
    """
    directory = Path(path)
    store = open_store(directory)
    manifest = store.manifest
    store.close()
    if manifest.state == "recording":
        raise SessionError(f"{directory} is still being recorded.", advice="Stop it first.")
    if manifest.state == "recovered" and any(directory.glob("*.arrows")):
        tables = finish_directory(directory, manifest.machine)
        manifest = replace(manifest, tables=tables, reason=manifest.reason or DIED)
        write_manifest(directory, manifest)
    remove_streams(directory)
    return directory
