"""Saving a session, or a part of it, as one file."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.store.archive import pack
from workbench.store.convert import write_parquet
from workbench.store.guard import writing
from workbench.store.lock import LOCK_NAME, is_live, write_lock
from workbench.store.manifest import Manifest
from workbench.store.reader import Store
from workbench.store.writer import write_manifest

Rows = tuple[Any, Iterable[Any]]
"""A pyarrow schema, and record batches with it."""


def save_store(store: Store, tables: Mapping[str, Rows], path: Path, selected: str = "") -> Path:
    """Write a session as one file, atomically.

    Parameters
    ----------
    store : Store
        The session as it is.
    tables : mapping of str to (schema, batches)
        Its tables, narrowed to what was selected.
    path : Path
        The file.
    selected : str
        The selection in words; empty when everything is saved.

    Raises
    ------
    StorageError
        The file cannot be written; an existing one stays.
    """
    manifest = store.manifest
    if store.path.is_dir() and manifest.state != "recording" and not selected:
        finished = not any(store.path.glob("*.arrows"))
        if finished:
            return pack(store.path, path)
    return save_tables(_saved(manifest, selected), tables, path)


def save_tables(manifest: Manifest, tables: Mapping[str, Rows], path: Path) -> Path:
    """Write tables as the session file of a manifest, atomically.

    Until it is whole all of it is in a hidden folder beside it. One that a process left behind that
    was killed is removed by the next one that writes the same file.

    Parameters
    ----------
    manifest : Manifest
        Of a session that is not being recorded; its list of tables is made anew.
    tables : mapping of str to (schema, batches)
    path : Path

    Raises
    ------
    StorageError
        The file cannot be written; an existing one stays.
    """
    with writing(path):
        place = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        with writing(path):
            write_lock(place)
        _remove_left(path)
        rows = {
            name: write_parquet(schema, batches, place / f"{name}.parquet")
            for name, (schema, batches) in tables.items()
        }
        write_manifest(place, replace(manifest, tables=rows))
        return pack(place, path, place / f"{path.name}.part")
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _remove_left(path: Path) -> None:
    """Remove what processes left behind that wrote the same file and live no more."""
    start, end = f".{path.name}.", ".part"
    with suppress(OSError):
        for each in path.parent.iterdir():
            ours = each.name.startswith(start) and each.name.endswith(end)
            # A folder without the file was made just now, by a process that will write it.
            begun = ours and not each.is_symlink() and (each / LOCK_NAME).is_file()
            if begun and not is_live(each):
                shutil.rmtree(each, ignore_errors=True)


def _saved(manifest: Manifest, selected: str) -> Manifest:
    reasons = [manifest.reason]
    state = manifest.state
    if state == "recording":
        state = "recovered"
        reasons.append("saved while it was recorded")
    if selected:
        reasons.append(f"only {selected}"[:2000])
    return replace(manifest, state=state, reason="; ".join(filter(None, reasons)))
