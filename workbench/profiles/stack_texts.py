"""Stacks and frames of text formats, made by polars: no Python object a frame."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ImportFormatError
from workbench.profiles.content import blocks, too_large
from workbench.profiles.tables import MAX_DEPTH, frames_table, stacks_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl
    from numpy.typing import NDArray

MAX_TEXT = 1 << 29
"""Bytes of a text that is read as one piece: columns of it take a few times as much."""

MAX_LINES = 1 << 23
"""Lines of a text: columns of them take some 100 bytes a line."""

MAX_FRAMES = 1 << 25
"""Frames of all distinct stacks together: each takes 60 bytes on its way."""

MAX_NAMES = 1 << 22
"""Distinct texts of frames: each takes some 500 bytes on its way."""

MAX_NAMES_BYTES = 1 << 27
"""Bytes of them."""

MAX_LINE = 1 << 22
"""Bytes of a line: a stack of 40,000 frames with names of 100."""

_AT_ONCE = 1 << 24
"""Bytes of lines that are taken apart at once."""

_SUFFIXES = {"_[k]": "kernel", "_[j]": "jit", "_[i]": "inlined"}
"""How stackcollapse-perf.pl and inferno mark frames (flamegraph.pl colours them)."""
_PLACE = r"^(.*) \((?:([^()]+):(\d+)|([^()]+\.pyx?))\)$"
"""``function (file:line)``, as py-spy writes frames; a function may have no line yet."""
_OBJECT = r"^(.*) \(([^()]+\.so(?:\.[0-9]+)*)\)$"
"""``function (module)``, as py-spy writes native frames without source."""
_PROGRAM = r"^(.*) \(([^():]+)\)$"
"""The same of any module, a program, ``[vdso]`` or ``?``, where all frames of a file have one."""
_PYTHON = r"(\.pyx?|^<.*>|^)$"
"""Files of Python code; ``<frozen ...>`` and ``<string>`` are some, too."""


def text_lines(
    file: IO[bytes],
    limit: int = MAX_TEXT,
    lines: int | None = None,
    longest: int | None = None,
) -> pl.Series:
    """Return the lines of a text, without their ends; what is no UTF-8 is replaced.

    Parameters
    ----------
    file : binary file
    limit, lines, longest : int
        Bytes and lines that are read, and bytes of a line; default :data:`MAX_TEXT`,
        :data:`MAX_LINES` and :data:`MAX_LINE`.

    Raises
    ------
    ImportFormatError
        It is longer, or its compression is damaged.
    """
    import pyarrow as pa

    most = MAX_LINES if lines is None else lines
    content = bytearray()  # each copy may be half a GiB
    for block in blocks(file, limit):
        content += block
    if content.count(b"\n") > most:
        raise too_large(f"It has more than {most:,} lines.")
    try:
        found = _lines_of(content)
    except pa.ArrowInvalid:  # no UTF-8
        found = _lines_of(content.decode("utf-8", "replace").encode())
    width = MAX_LINE if longest is None else longest
    if int(found.str.len_bytes().max() or 0) > width:  # type: ignore[arg-type]
        raise too_large(f"It has a line of more than {width:,} bytes.")
    return found.str.strip_suffix("\n").str.strip_suffix("\r")


def _lines_of(content: bytes | bytearray) -> pl.Series:
    """Return the lines of a text with their ends, without a copy of it."""
    import polars as pl
    import pyarrow as pa

    ends = np.flatnonzero(np.frombuffer(content, np.uint8) == ord("\n")) + 1
    if not content.endswith(b"\n"):
        ends = np.append(ends, len(content))
    offsets = np.concatenate([[0], ends])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(content)]
    made = pa.Array.from_buffers(pa.large_string(), len(ends), buffers)
    made.validate(full=True)
    return pl.Series("line", made)


def in_parts(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield rows in parts whose lines are of bounded size: what takes them apart copies them.

    Parameters
    ----------
    rows : polars.DataFrame
        With a column ``line``.
    """
    size = rows["line"].str.len_bytes().cast(int).to_numpy()
    before = np.concatenate([[0], np.cumsum(size)])
    first = 0
    while first < len(rows) or not first:
        last = int(np.searchsorted(before, before[first] + _AT_ONCE, side="right")) - 1
        last = max(first + 1, last)
        yield rows.slice(first, last - first)
        first = last


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


def numbered(entries: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the distinct texts of frames, and of which of them stacks are made.

    Parameters
    ----------
    entries : polars.DataFrame
        As :func:`split` returns them.

    Returns
    -------
    polars.DataFrame
        text : str
            Distinct, in the order of their first appearance.
    polars.DataFrame
        stack : u32
        name : i32
            Row of the text.

    Raises
    ------
    ImportFormatError
        There are too many.

    Both are for :func:`named_tables`: where there are millions of frames, numbers take less room
    than texts.
    """
    import polars as pl

    coded = _arrow(entries["text"]).dictionary_encode()
    names = coded.dictionary
    if len(names) > MAX_NAMES or names.nbytes - 8 * len(names) > MAX_NAMES_BYTES:
        raise too_large(
            f"Its frames have more than {MAX_NAMES:,} names, or {MAX_NAMES_BYTES:,} bytes of them."
        )
    name = pl.Series("name", coded.indices)
    texts = pl.Series("text", names, dtype=pl.String)
    return texts.to_frame(), entries.select("stack").with_columns(name)


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
    columns = [name for name in entries.columns if name != "stack"]
    names = entries.select(columns).unique(maintain_order=True)
    keyed = names.with_row_index("name")
    found = entries.join(keyed, on=columns, how="left", maintain_order="left", nulls_equal=True)
    return named_tables(names, found.select("stack", "name"), stacks)


def named_tables(names: pl.DataFrame, entries: pl.DataFrame, stacks: int) -> tuple[Any, Any]:
    """Return the tables ``frames`` and ``stacks``.

    Parameters
    ----------
    names : polars.DataFrame
        What frames are called: any of the columns of :data:`workbench.schema.FRAMES`.
    entries : polars.DataFrame
        One row for each frame of each stack, leaf first: ``stack`` (int, ascending), and ``name``,
        the row of ``names``.
    stacks : int
        Number of stacks; those without a row are empty.

    Raises
    ------
    ImportFormatError
        A stack is deeper than a session holds, or there are too many.
    """
    import polars as pl

    columns = names.columns
    lengths = np.bincount(entries["stack"].to_numpy(), minlength=stacks)
    _check_size(len(entries), lengths)
    used = np.zeros(len(names), np.bool_)
    used[entries["name"].to_numpy()] = True
    frames = names.filter(used).unique(maintain_order=True).with_row_index("frame_id")
    found = names.join(frames, on=columns, how="left", maintain_order="left", nulls_equal=True)
    ids = found["frame_id"].fill_null(0).cast(pl.UInt32).gather(entries["name"]).to_numpy()
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    table = frames_table({name: _arrow(frames[name]) for name in columns})
    return table, stacks_table(ids, offsets)


def _arrow(column: pl.Series) -> Any:
    import polars as pl

    return column.to_arrow(compat_level=pl.CompatLevel.oldest())


def places(texts: pl.Series, unique: pl.Series) -> NDArray[np.uint32]:
    """Return for each text its row among the distinct ones."""
    import polars as pl

    rows = unique.rename("text").to_frame().with_row_index("at")
    found = texts.rename("text").to_frame().join(
        rows, on="text", how="left", maintain_order="left"
    )  # fmt: skip
    return found["at"].cast(pl.UInt32).to_numpy()


def folded_entries(texts: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the names and entries of folded stacks, for :func:`named_tables`.

    Parameters
    ----------
    texts : polars.Series
        ``root;...;leaf`` of each stack; "" for one without frames.

    Returns
    -------
    polars.DataFrame
        function, kind, file, line, module: the marks of flamegraph.pl and the places that py-spy
        writes are taken off the names.
    polars.DataFrame
        stack, name.
    """
    names, entries = numbered(split(texts, ";", rooted=True))
    return _parsed(names).drop("text"), entries


def _parsed(names: pl.DataFrame) -> pl.DataFrame:
    """Add function, kind, file, line and module to texts of frames."""
    import polars as pl

    text = pl.col("text")
    placed = names.select(
        text.str.ends_with(")").all() & text.str.contains(_PLACE).any()
    ).item()  # fmt: skip
    mark = text.str.extract(r"(_\[[kji]\])$")
    parts = names.with_columns(
        text.str.extract_groups(_PLACE).alias("place"),
        text.str.extract_groups(_PROGRAM if placed else _OBJECT).alias("object"),
        mark.alias("mark"),
    ).with_columns(
        pl.col("place").struct[0].alias("named"),
        pl.coalesce(pl.col("place").struct[1], pl.col("place").struct[3]).alias("file"),
        pl.col("place").struct[2].cast(pl.UInt32, strict=False).alias("line"),
    )
    native = pl.col("file").is_null() & pl.col("object").struct[1].is_not_null()
    module = pl.when(native).then(pl.col("object").struct[1].replace("?", "")).fill_null("")
    plain = pl.when(pl.col("mark").is_null()).then("text").otherwise(text.str.head(-4))
    function = pl.coalesce("named", pl.when(native).then(pl.col("object").struct[0]), plain)
    kind = (
        pl.when(pl.col("file").str.contains(_PYTHON)).then(pl.lit("python"))
        .when(native | pl.col("file").is_not_null()).then(pl.lit("native"))
        .otherwise(pl.col("mark").replace_strict(_SUFFIXES, default="unknown"))
    )  # fmt: skip
    return parts.select(
        "text", function.alias("function"), kind.alias("kind"), "file", "line",
        module.alias("module"),
    )  # fmt: skip
