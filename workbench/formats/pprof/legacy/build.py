"""What a legacy profile says, as the columns of the message that took its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.formats.pprof.legacy.maps import assigned
from workbench.formats.pprof.numbering import Strings
from workbench.formats.pprof.parse import Parsed
from workbench.formats.pprof.places import Mapping
from workbench.formats.pprof.references import Columns

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

Stacks = tuple["NDArray[np.uint64]", "NDArray[np.int64]"]
"""Addresses, leaf first, and offsets by sample."""


@dataclass(frozen=True)
class Label:
    """A label of some samples.

    Parameters
    ----------
    key : str
    samples : numpy.ndarray
        int64, ascending.
    values : list of str or numpy.ndarray
        int64 where they are numbers.
    """

    key: str
    samples: NDArray[np.int64]
    values: Any


@dataclass(frozen=True)
class Legacy:
    """What a legacy profile says.

    Parameters
    ----------
    types : tuple of (str, str)
        Name and unit of each value.
    values : numpy.ndarray
        int64, shape (samples, types).
    stacks : (numpy.ndarray, numpy.ndarray)
        uint64 addresses, leaf first; int64 offsets by sample. They point into the calls.
    period : (str, str, int)
    duration_ns : int
    mappings : sequence of Mapping
    names : polars.DataFrame, optional
        address (u64, one row each), function, file, line.
    placed : bool
        Addresses are places; else they are but numbers of the locations that `names` tells of.
    labels : tuple of Label
    drop_frames, keep_frames : str
        Patterns of functions that are not to be shown, and of those that are nevertheless.
    """

    types: tuple[tuple[str, str], ...]
    values: NDArray[np.int64]
    stacks: Stacks
    period: tuple[str, str, int]
    duration_ns: int = 0
    mappings: Iterable[Mapping] = ()
    names: pl.DataFrame | None = None
    placed: bool = True
    labels: tuple[Label, ...] = ()
    drop_frames: str = ""
    keep_frames: str = ""


def parsed(made: Legacy) -> Parsed:
    """Return the columns of a profile."""
    import pyarrow as pa

    flat, offsets = made.stacks
    unique, first, place = np.unique(flat, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")  # locations are numbered as they appear
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    address = unique[order]
    strings = Strings()
    functions, lines, named = _functions(made.names, address, strings)
    mappings, mapping = assigned(made.mappings, np.where(named & (not made.placed), 0, address))
    if made.placed:
        for number in np.unique(mapping[named & (mapping >= 0)]).tolist():
            mappings[number] = replace(mappings[number], functions=True, files=True, lines=True)
    types = [(strings.of(name), strings.of(unit)) for name, unit in made.types]
    period_type = (strings.of(made.period[0]), strings.of(made.period[1]))
    labels, columns = _labels(made.labels, strings), _columns(mappings, strings)
    header = dict.fromkeys(("time_nanos", "default_sample_type", "doc_url"), 0) | {
        "drop_frames": strings.of(made.drop_frames),
        "keep_frames": strings.of(made.keep_frames),
        "duration_nanos": made.duration_ns,
        "period": made.period[2],
    }
    locations: Columns = {
        "mapping": mapping,
        "address": address if made.placed else np.zeros(len(address), np.uint64),
        "folded": np.zeros(len(address), np.bool_),
    }
    return Parsed(
        pa.array(strings.all(), pa.large_string()),
        types,
        made.values,
        rank[place.reshape(-1)],
        offsets,
        labels,
        columns,
        locations,
        lines,
        np.concatenate([[0], np.cumsum(named)]),
        functions,
        header,
        [],
        period_type,
    )


def _functions(
    names: pl.DataFrame | None, address: NDArray[np.uint64], strings: Strings
) -> tuple[Columns, Columns, NDArray[np.bool_]]:
    """Return functions, the lines of all locations, and which locations have one."""
    import polars as pl

    if names is None:
        names = pl.DataFrame(
            schema={"address": pl.UInt64, "function": str, "file": str, "line": pl.Int64}
        )
    wanted = pl.DataFrame({"address": address})
    found = wanted.join(names, on="address", how="left", maintain_order="left")
    named = found["function"].is_not_null().to_numpy()
    found = found.filter(named)
    keys = ["function", "file"]
    each = found.select(keys).unique(maintain_order=True).with_row_index("row")
    rows = found.join(each, on=keys, how="left", maintain_order="left")["row"]
    name = strings.column(each["function"].to_arrow())
    functions = {
        "name": name,
        "system_name": name,
        "file": strings.column(each["file"].to_arrow()),
        "start_line": np.zeros(len(each), np.int64),
    }
    lines = {
        "function": rows.to_numpy().astype(np.int64),
        "line": found["line"].to_numpy().astype(np.int64),
        "column": np.zeros(len(found), np.int64),
    }
    return functions, lines, named


def _labels(labels: tuple[Label, ...], strings: Strings) -> Columns:
    """Return the labels of all samples, one after the other; those of a sample in their order."""
    nothing = np.zeros(0, np.int64)
    parts: list[dict[str, Any]] = [dict.fromkeys(("sample", "key", "str", "num"), nothing)]
    for each in labels:
        texts = isinstance(each.values, list)
        zeros = np.zeros(len(each.samples), np.int64)
        given = [strings.of(text) for text in each.values] if texts else each.values
        key = zeros + strings.of(each.key) if len(zeros) else zeros
        values = np.asarray(given, np.int64)
        one = {"str": values, "num": zeros} if texts else {"str": zeros, "num": values}
        parts.append({"sample": each.samples, "key": key, **one})
    columns: Columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(columns["sample"], kind="stable")
    columns = {name: values[order] for name, values in columns.items()}
    return columns | {"num_unit": np.zeros(len(order), np.int64)}


def _columns(mappings: list[Mapping], strings: Strings) -> Columns:
    """Return mappings as columns."""
    texts = ("file", "build_id")
    columns: Columns = {}
    for field in fields(Mapping):
        listed = [getattr(each, field.name) for each in mappings]
        if field.name in texts:
            columns[field.name] = np.array([strings.of(text) for text in listed], np.int64)
        else:
            kind = np.uint64 if field.name in ("start", "limit", "offset") else np.bool_
            columns[field.name] = np.array(listed, kind)
    return columns
