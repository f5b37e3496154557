"""`session.symbolize`: names for a session that was recorded without them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import MissingTableError, ParameterError, StorageError
from workbench.output import check_room
from workbench.store.save import Rows, save_tables
from workbench.symbols.build_ids import BuildIds
from workbench.symbols.debuginfod import Debuginfod
from workbench.symbols.late import name_again

if TYPE_CHECKING:
    from workbench.recording import Recording

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
        Its selection is honoured.
    search : path or sequence of paths
        Programs and debug files, or folders with such, which are looked through. Files count by
        their build id alone. Then come the module where it was, ``/usr/lib/debug``, and the
        servers in ``DEBUGINFOD_URLS``.
    output : path, optional
        By default ``NAME.symbolized.wb`` beside the recording.
    overwrite : bool
        Replace an existing session.

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
        The recording is not finished; the output exists, is no session, or cannot be written.
    """
    missing = {"frames", "stacks"} - set(rec.tables)
    if missing:
        raise MissingTableError(
            "There is nothing to name in this session.",
            why=f"It holds no table {' and '.join(sorted(missing))}.",
            advice="Kinds with stacks are cpu, offcpu, and syscalls with stacks=True.",
        )
    if rec.state == "recording":
        raise StorageError(
            f"{rec.path} is being recorded.", advice="Stop the capture, or save() a copy, first."
        )
    places = _places([search] if isinstance(search, str | os.PathLike) else search)
    target = Path(output) if output else _beside(rec.path)
    check_room(target.absolute(), overwrite)
    files = BuildIds(places, Debuginfod.from_environment())
    frames, stacks = name_again(rec["frames"].arrow(), rec["stacks"].arrow(), files)
    tables: dict[str, Rows] = {
        name: (table.schema, table.batches()) for name, table in rec.tables.items()
    }
    tables |= {"frames": (frames.schema, [frames]), "stacks": (stacks.schema, [stacks])}
    return save_tables(rec.manifest, tables, target)


def _places(search: Sequence[PathLike]) -> list[Path]:
    places = [Path(place) for place in search]
    absent = [str(place) for place in places if not place.exists()]
    if absent:
        raise ParameterError(f"There is no {', '.join(absent)} to search.")
    return places


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name.removesuffix('.wb')}.symbolized.wb")
