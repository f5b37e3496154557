"""Frames of profiles with functions, lines and mappings: those of pprof, and of OTLP, its child."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ImportFormatError
from workbench.formats.pprof.numbering import ranges
from workbench.formats.pprof.places import PYTHON
from workbench.profiles.tables import MAX_DEPTH, frames_table

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

MAX_ENTRIES = 1 << 26
"""Frames of all distinct stacks together."""

_KERNEL = r"^\[(guest\.)?kernel|(^|/)vmlinu[xz]|\.ko(\.(gz|xz|zst))?$"
_JIT = r"^(\[anon|\[jit|//anon|/memfd:|.*/perf-\d+\.map$)"
_PYTHON = r"(\.pyx?$|^<(frozen |string>|stdin>))"
_HALF = 1 << 63
"""Addresses from here on are the kernel's, on x86-64 and on arm64."""


def expanded(
    flat: NDArray[np.int64],
    offsets: NDArray[np.int64],
    chosen: NDArray[np.int64],
    frame_offsets: NDArray[np.int64],
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return stacks of locations as stacks of frames.

    Parameters
    ----------
    flat, offsets : numpy.ndarray
        int64: the locations of stack ``i``, leaf first, are ``flat[offsets[i]:offsets[i + 1]]``.
    chosen : numpy.ndarray
        int64, the stacks that are wanted.
    frame_offsets : numpy.ndarray
        int64: the frames of location ``i`` are ``frame_offsets[i]`` and those up to
        ``frame_offsets[i + 1]``.

    Returns
    -------
    numpy.ndarray
        uint32, frames of all chosen stacks.
    numpy.ndarray
        int64, their offsets.

    Raises
    ------
    ImportFormatError
        A stack is deeper than a session holds, or there are too many frames.
    """
    starts, ends = offsets[chosen], offsets[chosen + 1]
    entries = int((ends - starts).sum())
    if entries > MAX_ENTRIES:
        raise _too_many()
    location = flat[ranges(starts, ends)]
    begin, stop = frame_offsets[location], frame_offsets[location + 1]
    before = np.concatenate([[0], np.cumsum(stop - begin)])
    of_stack = before[np.concatenate([[0], np.cumsum(ends - starts)])]
    if int(of_stack[-1]) > MAX_ENTRIES or int(np.diff(of_stack).max(initial=0)) > MAX_DEPTH:
        raise _too_many()
    return ranges(begin, stop).astype(np.uint32), of_stack


def check_depth(offsets: NDArray[np.int64]) -> None:
    """Check that no stack is deeper than a session holds: what compares stacks takes as long.

    Parameters
    ----------
    offsets : numpy.ndarray
        int64, of the frames or locations of each stack.

    Raises
    ------
    ImportFormatError
    """
    if int(np.diff(offsets).max(initial=0)) > MAX_DEPTH:
        raise _too_many()


def _too_many() -> ImportFormatError:
    return ImportFormatError(
        "The profile has more stack frames than can be imported.",
        why=f"At most {MAX_DEPTH:,} a stack and {MAX_ENTRIES:,} in all are.",
    )


def located(frames: pl.DataFrame, extra: Sequence[str] = ()) -> Any:
    """Return the table ``frames`` of a session.

    Parameters
    ----------
    frames : polars.DataFrame
        One row for each line of each location, or for the location itself where it has none:
        ``address`` (uint64), ``mapping`` (its number, 0 for none), ``module``, ``build_id`` and
        ``shift`` (uint64, from addresses to offsets in the file) of the mapping, ``named``
        (whether there is a function), ``function``, ``file``, ``line``, ``last`` (whether the row
        is that into which the others of the location were inlined). ``told``, where it is there,
        is the kind of the location, "" where it is to be found by its mapping and address.
    extra : sequence of str
        Columns that are kept besides those of :data:`workbench.schema.FRAMES`.
    """
    import pyarrow as pa

    table = _described(frames).to_arrow()
    names = ("function", "file", "line", "module", "build_id", "offset", "kind")
    columns = {name: table[name].combine_chunks() for name in names}
    for name in ("function", "file", "module", "build_id", "kind"):
        columns[name] = columns[name].cast(pa.string())
    columns["kind"] = columns["kind"].dictionary_encode()
    more = {name: table[name].combine_chunks() for name in extra}
    for name, values in more.items():
        if pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type):
            more[name] = values.cast(pa.string())
    return frames_table(columns, more)


def _described(frames: pl.DataFrame) -> pl.DataFrame:
    """Add what a session's frames have: kind, place in the module, and a name for each."""
    import polars as pl

    module, file, address = pl.col("module"), pl.col("file"), pl.col("address")
    told = pl.col("told") if "told" in frames.columns else pl.lit("")
    nowhere = (pl.col("mapping") == 0) & (address == 0)
    own = (
        pl.when(told != "")
        .then(told)
        .when(module.str.contains(_KERNEL) | (address >= _HALF))
        .then(pl.lit("kernel"))
        .when((module == PYTHON) | file.str.contains(_PYTHON))
        .then(pl.lit("python"))
        .when(module.str.contains(_JIT))
        .then(pl.lit("jit"))
        .when(nowhere | (module == "[unknown]"))
        .then(pl.lit("unknown"))
        .otherwise(pl.lit("native"))
    )
    frames = frames.with_columns(
        kind=pl.when("last").then(own).otherwise(pl.lit("inlined")),
        hexadecimal=_hexadecimal(frames),
    )
    python = pl.col("kind") == "python"
    absolute = pl.col("kind").is_in(["kernel", "jit"]) | module.str.starts_with("[")
    return frames.with_columns(
        function=pl.when("named").then("function").otherwise("hexadecimal"),
        module=pl.when(python & (module == PYTHON)).then(file).otherwise(module),
        offset=pl.when(absolute).then(address).otherwise(address + pl.col("shift")),
        line=pl.when(pl.col("line").is_between(1, (1 << 32) - 1)).then("line"),
        file=pl.when(file != "").then(file),
    )


def _hexadecimal(frames: pl.DataFrame) -> pl.Series:
    """Return the addresses of frames without a name as texts in brackets, "" for the others."""
    import polars as pl

    each = frames.select(address=pl.when("named").then(None).otherwise("address"))
    known = each.unique("address").drop_nulls()
    texts = pl.Series([f"[{one:#x}]" for one in known["address"].to_list()], dtype=pl.String)
    named = known.with_columns(text=texts)
    return each.join(named, on="address", how="left", maintain_order="left")["text"].fill_null("")
