"""Saving a session, or a part of it, as one file."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.store.archive import pack
from workbench.store.convert import write_parquet
from workbench.store.guard import writing
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
        rows = {
            name: write_parquet(schema, batches, place / f"{name}.parquet")
            for name, (schema, batches) in tables.items()
        }
        write_manifest(place, replace(manifest, tables=rows))
        return pack(place, path)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _saved(manifest: Manifest, selected: str) -> Manifest:
    reasons = [manifest.reason]
    state = manifest.state
    if state == "recording":
        state = "recovered"
        reasons.append("saved while it was recorded")
    if selected:
        reasons.append(f"only {selected}"[:2000])
    return replace(manifest, state=state, reason="; ".join(filter(None, reasons)))
