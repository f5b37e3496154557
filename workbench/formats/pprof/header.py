"""What a profile says of itself: of a capture, or what the file said of which a session is."""

from __future__ import annotations

from collections.abc import Mapping as Facts
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, get_type_hints

from workbench._version import __version__
from workbench.errors import SessionCorruptError
from workbench.formats.pprof.encode import Header
from workbench.formats.pprof.places import EXTRA, Mapping, Places
from workbench.frames.losses import shortcomings
from workbench.frames.stacks import PROBE

if TYPE_CHECKING:
    from workbench.recording import Recording


def header(rec: Recording, table: str, where: Places) -> Header:
    """Return what a profile of the workbench's own says of itself."""
    manifest = rec.manifest
    stop = manifest.stop_ns
    if stop is None:
        stop = manifest.start_ns + int(rec.duration.total_seconds() * 1e9)
    low, high = rec.selection.window or (manifest.start_ns, stop)
    start = max(low, manifest.start_ns)
    host = " ".join(str(manifest.host.get(key, "")) for key in ("node", "kernel", "machine"))
    command = manifest.target.get("command")
    comments = [
        f"{table}, recorded with ebpf-workbench {manifest.workbench}, written with {__version__}",
        f"command: {' '.join(map(str, command))}" if isinstance(command, list | tuple) else "",
        f"host: {host}" if host.strip() else "",
        f"selection: {rec.selection.describe()}" if rec.selection else "",
        shortcomings(rec, table),
    ]
    return Header(
        time_ns=start,
        duration_ns=max(0, min(high, stop) - start),
        comments=tuple(filter(None, comments)),
        drop_frames=_drop_frames(where),
    )


def _drop_frames(where: Places) -> str:
    """Return a pattern of the functions that belong to probes, as far as none is shown.

    They were taken off the leaves already. The pattern is for who adds another profile of the same
    program to this one.
    """
    shown = where.functions["name"]
    absent = [prefix for prefix in PROBE if not shown.str.starts_with(prefix).any()]
    return "|".join(f"{prefix}.*" for prefix in absent)


def imported(rec: Recording, table: str) -> Facts[str, Any] | None:
    """Return what a pprof file said of itself from which the session was made."""
    told = rec.manifest.target.get("imported")
    if not isinstance(told, dict) or told.get("format") != "pprof":
        return None
    there = set(rec["frames"].schema.names)
    return told if set(EXTRA) <= there and "values" in rec.manifest.kinds.get(table, {}) else None


def mappings(told: Facts[str, Any]) -> Sequence[Mapping]:
    """Return the mappings of the file, as the manifest tells them.

    Raises
    ------
    SessionCorruptError
        The manifest tells something else.
    """
    rows = told.get("mappings", ())
    if not isinstance(rows, list | tuple) or not all(map(_is_mapping, rows)):
        raise SessionCorruptError("The session does not tell the mappings of its profile.")
    return [Mapping(*row) for row in rows]


def _is_mapping(row: Any) -> bool:
    kinds = get_type_hints(Mapping)
    if not isinstance(row, list | tuple):
        return False
    fitting = [type(value) for value in row] == [kinds[each.name] for each in fields(Mapping)]
    return fitting and all(0 <= value < 1 << 64 for value in row[:3])


def kept_header(rec: Recording, told: Facts[str, Any]) -> Header:
    """Return what the file said of itself, as :func:`imported` tells it."""
    manifest = rec.manifest
    duration = (manifest.stop_ns or manifest.start_ns) - manifest.start_ns
    return Header(
        time_ns=manifest.start_ns if told.get("time_known") else 0,
        duration_ns=duration,
        comments=tuple(map(str, told.get("comments", ()))),
        drop_frames=str(told.get("drop_frames", "")),
        keep_frames=str(told.get("keep_frames", "")),
        doc_url=str(told.get("doc_url", "")),
    )
