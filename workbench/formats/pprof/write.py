"""A session, or a selection of one, as a pprof profile."""

from __future__ import annotations

from collections.abc import Mapping as Facts
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import IO, TYPE_CHECKING, Any, get_type_hints

import numpy as np

from workbench._version import __version__
from workbench.errors import SessionCorruptError
from workbench.formats.pprof.encode import Header, encode
from workbench.formats.pprof.places import EXTRA, Mapping, Places, places
from workbench.formats.pprof.values import LabelType, Valued, chosen_table, valued
from workbench.frames.labels import NO_STACK, UNKNOWN, named_frames, position
from workbench.frames.losses import shortcomings
from workbench.frames.needs import has, need
from workbench.frames.stacks import PROBE, kept, stacks_of, without_probe
from workbench.schema import FRAMES
from workbench.table import batches, collected

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from workbench.recording import Recording

_SLICE = 1 << 20
"""Rows that are summed at once."""

_KIND = LabelType("kind", "", "kind")
_COMMAND = LabelType("comm", "", "command")


def write_plain(rec: Recording, file: IO[bytes], table: str | None) -> None:
    """Write the stacks of a table as an uncompressed profile; the same session, the same bytes.

    Samples with the same stack, thread and labels are one.

    Raises
    ------
    ExportError
        The table has no stacks.
    MissingTableError
    """
    name = chosen_table(rec, table)
    known = valued(rec, name)
    imported = _imported(rec, name)
    if imported is None:
        known = _with_command(rec, known)
    rows, frames, flat, offsets = _summed(rec, known, ordered=imported is not None)
    if imported is None:
        kinds = _kind_of_leaf(frames, flat, offsets)
        rows = rows.with_columns(kinds[rows["stack"].to_numpy()].alias("kind"))
        known = _labelled(known, _KIND)
    where = places(frames, flat, offsets, None if imported is None else _mappings(imported))
    header = _header(rec, name, where) if imported is None else _kept(rec, imported)
    encode(file, header, known, rows, where)


def _summed(
    rec: Recording, known: Valued, *, ordered: bool
) -> tuple[pl.DataFrame, pl.DataFrame, NDArray[np.int32], NDArray[np.int64]]:
    """Return one row for each stack and labels; all frames; and stacks, as rows of frames."""
    import polars as pl

    # Where groups are many, polars' streaming group_by keeps what did not fit its first table to
    # the end, which goes by the rows (2.1): sums of slices are merged here.
    columns = ["stack_id", *(each.column for each in known.labels)]
    columns += [each.column for each in known.types]
    found: pl.DataFrame | None = None
    pending: list[pl.DataFrame] = []
    for rows in (known.rows, *known.more):
        for part in batches(rows.select(columns), _SLICE):
            pending.append(collected(_sums(part.lazy(), known, ordered), streaming=True))
            if sum(map(len, pending)) > max(_SLICE, 0 if found is None else len(found)):
                found = _merged(found, pending, known, ordered)
                pending = []
    found = _merged(found, pending, known, ordered)
    stack, flat, offsets = _used(*stacks_of(rec, found["stack_id"]))
    names = named_frames(rec)
    flat, offsets = without_probe(names, flat, offsets)
    frames = _frames(rec)
    ids = names["frame_id"].to_numpy()
    at = np.empty(len(flat), np.int32)
    for start in range(0, len(flat), _SLICE):
        some = flat[start : start + _SLICE]
        row = position(ids, some)
        row[row < 0] = len(ids)  # an id that no frame has
        row[some == -1] = len(ids) + 1
        at[start : start + _SLICE] = row
    return found.with_columns(pl.Series("stack", stack)), frames, at, offsets


def _merged(
    found: pl.DataFrame | None, pending: list[pl.DataFrame], known: Valued, ordered: bool
) -> pl.DataFrame:
    """Return sums of sums."""
    import polars as pl

    parts = [*([] if found is None else [found]), *pending]
    if len(parts) == 1:
        return parts[0]
    empty = [] if parts else [known.rows.head(0).collect()]  # no rows at all
    return collected(_sums(pl.concat([*parts, *empty]).lazy(), known, ordered), streaming=True)


def _sums(rows: pl.LazyFrame, known: Valued, ordered: bool) -> pl.LazyFrame:
    """Return one row for each stack and labels."""
    import polars as pl

    values = [each.column for each in known.types]
    labels = [each.column for each in known.labels]
    rows = rows.with_columns(pl.col(label).cast(pl.String) for label in _texts(known))
    # The order of an imported file is kept; elsewhere joins may have changed that of the rows.
    sums = rows.group_by("stack_id", *labels, maintain_order=ordered).agg(
        pl.col(value).sum() for value in values
    )
    if ordered:
        return sums
    sums = sums.filter(pl.any_horizontal(pl.col(value) != 0 for value in values))
    return sums.sort("stack_id", *labels, nulls_last=True)


def _used(
    stack: NDArray[np.int64], flat: NDArray[np.int64], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Leave out stacks that no row has."""
    keep = np.zeros(len(offsets) - 1, np.bool_)
    keep[stack] = True
    stack = (np.cumsum(keep) - 1)[stack]
    first = 0 if keep.all() else int(np.argmax(keep))
    if not keep[first:].all():
        flat, _ = kept(flat, offsets, np.repeat(keep, np.diff(offsets)))
        return stack, flat, np.concatenate([[0], np.cumsum(np.diff(offsets)[keep])])
    # Mostly there is but one, the first, that no row has: no stack at all.
    return stack, flat[offsets[first] :], offsets[first:] - offsets[first]


def _texts(known: Valued) -> list[str]:
    """Return the columns of labels that are texts."""
    import polars as pl

    schema = known.rows.collect_schema()
    texts = (pl.String, pl.Categorical, pl.Enum)
    return [each.column for each in known.labels if isinstance(schema[each.column], texts)]


def _frames(rec: Recording) -> pl.DataFrame:
    """Return the frames by their id, then one for what is unknown, and one for no stack."""
    import polars as pl

    there = [name for name in EXTRA if name in rec["frames"].schema.names]
    held = rec["frames"].lazy().unique("frame_id", keep="last").sort("frame_id").collect()
    held = held.select(*(column.name for column in FRAMES), *there)
    held = held.with_columns(pl.col("kind").cast(pl.String).fill_null("unknown"))
    if not there:
        held = held.with_columns(pl.col("function").fill_null("").replace("", UNKNOWN))
    more = pl.DataFrame(
        {"function": [UNKNOWN, NO_STACK], "module": "", "build_id": "", "kind": "unknown"}
    )
    return pl.concat([held, more], how="diagonal_relaxed").with_columns(
        pl.col("offset").fill_null(0),
        *(pl.col(name).fill_null(name == "named") for name in EXTRA if name in there),
    )


def _with_command(rec: Recording, known: Valued) -> Valued:
    """Add the name of each process: that of its main thread, as it was last."""
    import polars as pl

    if not has(rec, "processes") or "pid" not in known.rows.collect_schema():
        return known
    names = (
        need(rec, "processes", "ts", "pid", "tid", "comm")
        .filter(pl.col("pid") == pl.col("tid"))
        .sort("ts", maintain_order=True)
        .group_by("pid")
        .agg(pl.col("comm").last().alias("command"))
    )
    first, *more = (rows.join(names, on="pid", how="left") for rows in (known.rows, *known.more))
    return _labelled(replace(known, rows=first, more=tuple(more)), _COMMAND)


def _labelled(known: Valued, label: LabelType) -> Valued:
    return replace(known, labels=(*known.labels, label))


def _kind_of_leaf(
    frames: pl.DataFrame, flat: NDArray[np.int32], offsets: NDArray[np.int64]
) -> pl.Series:
    """Return what kind of code each stack ends in; what is inlined is native."""
    import polars as pl

    kinds = frames["kind"].replace("inlined", "native")
    leaves = np.full(len(offsets) - 1, len(frames) - 1)
    full = offsets[1:] > offsets[:-1]
    leaves[full] = flat[offsets[:-1][full]]
    return pl.Series(kinds.gather(leaves))


def _header(rec: Recording, table: str, where: Places) -> Header:
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


def _imported(rec: Recording, table: str) -> Facts[str, Any] | None:
    """Return what a pprof file said of itself from which the session was made."""
    told = rec.manifest.target.get("imported")
    if not isinstance(told, dict) or told.get("format") != "pprof":
        return None
    there = set(rec["frames"].schema.names)
    return told if set(EXTRA) <= there and "values" in rec.manifest.kinds.get(table, {}) else None


def _mappings(told: Facts[str, Any]) -> Sequence[Mapping]:
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


def _kept(rec: Recording, told: Facts[str, Any]) -> Header:
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
