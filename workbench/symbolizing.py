"""`session.symbolize` and `wb.symbolize`: names for a session that was recorded without them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import MissingTableError, ParameterError, StorageError
from workbench.store.save import save_store

if TYPE_CHECKING:
    from workbench.recording import Recording
    from workbench.session import Session

PathLike = str | os.PathLike[str]


def symbolized(
    rec: Recording,
    search: Sequence[PathLike] | PathLike = (),
    output: PathLike | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """Write a recording with the names, lines and inlined functions that can be found now.

    Parameters
    ----------
    rec : Recording
    search : path or sequence of paths
        Programs and debug files, or folders with such, which are looked through. Files count by
        their build id alone. Then come the module where it was, ``/usr/lib/debug``, and the
        servers in ``DEBUGINFOD_URLS``.
    output : path, optional
        By default ``NAME.symbolized.wb`` beside the recording.
    overwrite : bool
        Replace an existing file.

    Returns
    -------
    Path
        The new session; the old one is as it was.

    Raises
    ------
    MissingTableError
        The recording has no stacks.
    ParameterError
        A place to search does not exist.
    StorageError
        The output exists, or cannot be written.
    """
    missing = {"frames", "stacks"} - set(rec.tables)
    if missing:
        raise MissingTableError(
            "There is nothing to name in this session.",
            why=f"It holds no table {' and '.join(sorted(missing))}.",
            advice="Kinds with stacks are cpu, offcpu, and syscalls with stacks=True.",
        )
    places = _places([search] if isinstance(search, str | os.PathLike) else search)
    target = Path(output) if output else _beside(rec.path)
    if target.exists() and not overwrite:
        raise StorageError(
            f"{target} exists.", advice="Choose another output, or say overwrite=True (--force)."
        )
    return _write(rec, places, target)


def symbolize(
    path: PathLike,
    search: Sequence[PathLike] | PathLike = (),
    output: PathLike | None = None,
    *,
    overwrite: bool = False,
) -> Session:
    """Name the frames of a session file; see :func:`symbolized`.

    Returns
    -------
    Session
        The new one.
    """
    from workbench.session import Session

    with Session.open(path) as session:
        return session.symbolize(search, output, overwrite=overwrite)


def _write(rec: Recording, places: list[Path], target: Path) -> Path:
    from workbench.symbols.build_ids import BuildIds
    from workbench.symbols.debuginfod import Debuginfod
    from workbench.symbols.late import name_again

    files = BuildIds(places, Debuginfod.from_environment())
    named = name_again(rec["frames"].arrow(), rec["stacks"].arrow(), files)
    new = dict(zip(("frames", "stacks"), named, strict=True))
    tables = {
        name: (new[name].schema, [new[name]]) if name in new else (table.schema, table.batches())
        for name, table in rec.tables.items()
    }
    return save_store(rec._store, tables, target, rec.selection.describe() or "symbols added")


def _places(search: Sequence[PathLike]) -> list[Path]:
    places = [Path(place) for place in search]
    absent = [str(place) for place in places if not place.exists()]
    if absent:
        raise ParameterError(f"There is no {', '.join(absent)} to search.")
    return places


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name.removesuffix('.wb')}.symbolized.wb")
