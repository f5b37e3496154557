"""Stacks and frames of text formats, made by polars: no Python object a frame."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ImportFormatError
from workbench.profiles.content import whole
from workbench.profiles.tables import MAX_DEPTH, frames_table, stacks_table

if TYPE_CHECKING:
    import polars as pl

MAX_TEXT = 1 << 29
"""Bytes of a text that is read as one piece: columns of it take a few times as much."""

MAX_FRAMES = 1 << 26
"""Frames of all distinct stacks together: as texts they take 1 GiB."""

_SUFFIXES = {"_[k]": "kernel", "_[j]": "jit", "_[i]": "inlined"}
"""How stackcollapse-perf.pl and inferno mark frames (flamegraph.pl colours them)."""
_PLACE = r"^(.*) \((?:([^()]+):(\d+)|([^()]+\.pyx?))\)$"
"""``function (file:line)``, as py-spy writes frames; a function may have no line yet."""
_PYTHON = r"(\.pyx?|^<.*>|^)$"
"""Files of Python code; ``<frozen ...>`` and ``<string>`` are some, too."""


def text_lines(file: IO[bytes], limit: int = MAX_TEXT) -> pl.Series:
    """Return the lines of a text, without their ends; what is no UTF-8 is replaced.

    Raises
    ------
    ImportFormatError
        It is longer than `limit`, or its compression is damaged.
    """
    import polars as pl

    text = whole(file, limit).decode("utf-8", "replace")
    rows = pl.DataFrame({"line": [text]}).select(pl.col("line").str.split("\n").explode())
    lines = rows.to_series().str.strip_suffix("\r")
    return lines.slice(0, len(lines) - 1) if text.endswith("\n") else lines


def numbers(texts: pl.Series, what: str) -> Any:
    """Return texts of decimal digits as int64.

    Raises
    ------
    ImportFormatError
        One is none, or too large.
    """
    import polars as pl

    found = texts.cast(pl.Int64, strict=False)
    if found.null_count():
        wrong = texts.filter(found.is_null())[0]
        raise ImportFormatError(f"{what} cannot be {str(wrong)[:80]!r}.")
    return found.to_numpy().astype(np.int64)


def split(texts: pl.Series, separator: str, *, rooted: bool = False) -> pl.DataFrame:
    """Return the parts of texts.

    Parameters
    ----------
    texts : polars.Series
        One for each stack; "" has no parts.
    separator : str
        Of its parts.
    rooted : bool
        The root comes first; it comes last in what is returned.

    Returns
    -------
    polars.DataFrame
        stack : u32
            Index of the text, ascending.
        text : str

    Raises
    ------
    ImportFormatError
        A stack is deeper than a session holds, or there are too many.
    """
    import polars as pl

    count = pl.col("text").str.count_matches(separator, literal=True) + 1
    rows = texts.rename("text").to_frame().with_row_index("stack").filter(pl.col("text") != "")
    counts = rows.select(count).to_series()
    _check_size(int(counts.sum()), counts.to_numpy())
    parts = pl.col("text").str.split(separator)
    return rows.with_columns(parts.list.reverse() if rooted else parts).explode("text")


def _check_size(entries: int, lengths: Any) -> None:
    if entries > MAX_FRAMES or int(lengths.max(initial=0)) > MAX_DEPTH:
        raise ImportFormatError(
            "The file has more stack frames than can be imported.",
            why=f"At most {MAX_DEPTH:,} a stack and {MAX_FRAMES:,} in all are.",
        )


def tables(entries: pl.DataFrame, stacks: int) -> tuple[Any, Any]:
    """Return the tables ``frames`` and ``stacks``.

    Parameters
    ----------
    entries : polars.DataFrame
        One row for each frame of each stack, leaf first: ``stack`` (int, ascending), then any of
        the columns of :data:`workbench.schema.FRAMES`.
    stacks : int
        Number of stacks; those without a row are empty.

    Raises
    ------
    ImportFormatError
        A stack is deeper than a session holds, or there are too many.
    """
    import polars as pl

    columns = [name for name in entries.columns if name != "stack"]
    lengths = np.bincount(entries["stack"].to_numpy().astype(np.int64), minlength=stacks)
    _check_size(len(entries), lengths)
    frames = entries.select(columns).unique(maintain_order=True).with_row_index("frame_id")
    ids = entries.join(frames, on=columns, how="left", maintain_order="left", nulls_equal=True)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    table = frames_table({name: _arrow(frames[name]) for name in columns})
    return table, stacks_table(ids["frame_id"].cast(pl.UInt32).to_numpy(), offsets)


def _arrow(column: pl.Series) -> Any:
    import polars as pl

    return column.to_arrow(compat_level=pl.CompatLevel.oldest())


def folded_entries(texts: pl.Series) -> pl.DataFrame:
    """Return the entries of folded stacks, for :func:`tables`.

    Parameters
    ----------
    texts : polars.Series
        ``root;...;leaf`` of each stack; "" for one without frames.

    Returns
    -------
    polars.DataFrame
        stack, function, kind, file, line: the marks of flamegraph.pl and the places that py-spy
        writes are taken off the names.
    """
    import polars as pl

    entries = split(texts, ";", rooted=True)
    # Names repeat: each is looked at once.
    names = entries.select(pl.col("text").unique(maintain_order=True))
    return entries.join(_parsed(names), on="text", how="left", maintain_order="left").select(
        "stack", "function", "kind", "file", "line"
    )


def _parsed(names: pl.DataFrame) -> pl.DataFrame:
    """Add function, kind, file and line to texts of frames."""
    import polars as pl

    place = pl.col("text").str.extract_groups(_PLACE)
    mark = pl.col("text").str.extract(r"(_\[[kji]\])$")
    parts = names.with_columns(place.alias("place"), mark.alias("mark")).with_columns(
        pl.col("place").struct[0].alias("named"),
        pl.coalesce(pl.col("place").struct[1], pl.col("place").struct[3]).alias("file"),
        pl.col("place").struct[2].cast(pl.UInt32, strict=False).alias("line"),
    )
    plain = pl.when(pl.col("mark").is_null()).then("text").otherwise(
        pl.col("text").str.head(-4)
    )  # fmt: skip
    python = pl.col("file").str.contains(_PYTHON)
    kind = (
        pl.when(python).then(pl.lit("python"))
        .when(pl.col("file").is_not_null()).then(pl.lit("native"))
        .otherwise(pl.col("mark").replace_strict(_SUFFIXES, default="unknown"))
    )  # fmt: skip
    return parts.select(
        "text", pl.coalesce("named", plain).alias("function"), kind.alias("kind"), "file", "line"
    )
