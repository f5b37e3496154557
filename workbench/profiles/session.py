"""A profile as a session: its manifest and its tables."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workbench.errors import ImportFormatError, SessionCorruptError
from workbench.profiles.names import safe_table, table_of
from workbench.profiles.tables import check_kinds, processes_table, samples_table
from workbench.store.columns import check_schema
from workbench.store.manifest import MAX_BYTES, Manifest

if TYPE_CHECKING:
    from workbench.profiles.profile import Profile, Samples

_LAST = (1 << 63) - 1
_ROOM = 1 << 16
"""Bytes of the manifest for what the writer adds: the tables."""


def session_of(
    profile: Profile, *, format: str, source: str, modified_ns: int
) -> tuple[Manifest, dict[str, Any]]:
    """Return what the store writes for a profile.

    Parameters
    ----------
    profile : Profile
    format : str
        Name of the format.
    source : str
        Name of the file.
    modified_ns : int
        When the file was last changed, ns UTC: the time of a profile that tells none.

    Returns
    -------
    Manifest
        Its ``kinds`` are the tables of samples; ``target["imported"]`` holds what the file says
        of itself.
    dict of str to pyarrow.Table

    Raises
    ------
    ImportFormatError
        A session cannot hold it.
    """
    known = profile.start_ns is not None and 0 < profile.start_ns < _LAST
    start = profile.start_ns if known and profile.start_ns else max(0, modified_ns)
    kinds: dict[str, dict[str, Any]] = {}
    tables: dict[str, Any] = {}
    check_kinds(len(profile.samples))
    for samples in profile.samples:
        name = _table_name(samples, tables)
        named = replace(samples, table=name)
        tables[name], facts = samples_table(named, start, profile.program)
        kinds[name] = {"imported": format, **facts}
    processes = profile.processes
    if processes is None:
        processes = processes_table(tables.values(), start)
    tables |= {"frames": profile.frames, "stacks": profile.stacks}
    if processes is not None:
        tables["processes"] = processes
    told = {"format": format, "file": source, "time_known": known, **profile.facts}
    manifest = Manifest(
        kinds=kinds,
        start_ns=start,
        stop_ns=min(start + max(0, profile.duration_ns or 0), _LAST),
        state="complete",
        reason=f"imported from {source}"[:4000],
        target={"imported": told},
        problems=tuple(text[:4000] for text in profile.problems[:256]),
    )
    _check(manifest, tables)
    return manifest, tables


def _table_name(samples: Samples, used: dict[str, Any]) -> str:
    if samples.table:
        name = safe_table(samples.table)
    else:
        name = table_of((value.name for value in samples.values), samples.default)
    number, unique = 2, name
    while unique in used:
        unique, number = f"{name}_{number}", number + 1
    return unique


def _check(manifest: Manifest, tables: dict[str, Any]) -> None:
    """Refuse now what could not be opened afterwards."""
    try:
        if len(manifest.to_json()) > MAX_BYTES - _ROOM:
            raise ImportFormatError("The file says more of itself than a session can hold.")
        for name, table in tables.items():
            check_schema(name, table.schema)
    except SessionCorruptError as error:
        raise ImportFormatError("A session cannot hold this profile.", why=error.why) from error
