"""The text of ``perf script``, taken apart by polars: lines, samples, frames.

A sample is a line with who, when and what, then one line a frame, leaf first, then an empty one::

    bash  3712/3712  [001] 24478.556987:    2004008 cpu-clock:ppp:
    <TAB>ffffffff821f432a memcpy+0xa ([kernel.kallsyms])
      file.c:12

Without call chains the only frame stands in the first line. ``-F`` leaves out any part
(tools/perf/builtin-script.c of Linux: ``process_event``, ``perf_sample__fprintf_start``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.profiles.stack_texts import in_parts, numbered, split

if TYPE_CHECKING:
    import polars as pl

_WHO = (
    r"^\s*(?:(?<comm>\S.*?)\s+)??(?:(?:(?<pid>-?\d+)/)?(?<tid>-?\d+)\s+)?"
    r"(?:\[(?<cpu>\d+)\]\s+)?"
)
TIMED = (
    _WHO + r"(?:[KUHGg]\s+)?(?:[.#a-zA-Z][^\s:]{3,5}\s+)?(?<time>\d+\.\d{6,9}):\s*"
    r"(?:(?<period>\d+)\s+)?(?:(?<event>[^\s()]+):(?:\s|$))?\s*(?<rest>.*)$"
)
UNTIMED = (
    r"^\s*(?<comm>\S.*?)(?:\s+(?:(?<pid>-?\d+)/)?(?<tid>-?\d+))?(?:\s+\[(?<cpu>\d+)\])?"
    r"(?:\s+(?<period>\d+))?(?:\s+(?<event>[^\s()]+):)?\s*$"
)
_ADDRESS = r"^\s+[0-9a-f]{1,16}(?:\s|$)"
_FRAME = (
    r"^\s*(?<ip>[0-9a-f]{1,16})\s+(?<symbol>.*?)(?:\+0x[0-9a-f]+)?"
    r"\s+\((?<module>(?:[^()]|\([^()]*\))*)\)$"
)
_BARE = r"^\s*(?:(?<ip>[0-9a-f]{3,16})(?:\s+|$))?(?<symbol>.*?)(?:\+0x[0-9a-f]+)?\s*$"
_SOURCE = r"^\s*(?<file>.+):(?<line>\d+)(?: \(discriminator \d+\))?$"
_PYTHON = r"^py::(?<function>.*):(?<file>[^:]+)$"
_LOST = r"PERF_RECORD_LOST(?:_SAMPLES)?\s+lost(?:-samples)?[\s:]+(\d+)"


def classified(lines: pl.Series) -> pl.DataFrame:
    """Return the lines that mean something, and what they are.

    Returns
    -------
    polars.DataFrame
        number : u32
            Of the line, from 1.
        line : str
        role : str
            "head" (of a sample), "frame", "source" (behind a frame), "blank", "record" (of
            another kind than a sample), "other".
    """
    import polars as pl

    line = pl.col("line")
    rows = lines.rename("line").to_frame().with_row_index("number", 1)
    rows = rows.filter(~line.str.starts_with("#")).with_columns(
        line.str.contains(TIMED).alias("is_timed"),
        (line.str.strip_chars() == "").alias("blank"),
        line.str.contains(r"^\s").alias("indented"),
        line.str.contains(_ADDRESS).alias("addressed"),
    )
    frame = ~pl.col("blank") & ~pl.col("is_timed")
    frame &= pl.col("addressed") | line.str.starts_with("\t")
    rows = rows.with_columns(frame.alias("is_frame"))
    before = pl.col("is_frame").shift(1, fill_value=False)
    source = ~pl.col("is_frame") & ~pl.col("is_timed") & pl.col("indented") & before
    alone = ~pl.col("is_timed") & ~pl.col("indented") & pl.col("is_frame").shift(
        -1, fill_value=False
    )  # fmt: skip
    role = (
        pl.when(pl.col("blank")).then(pl.lit("blank"))
        .when(pl.col("is_timed") & line.str.contains("PERF_RECORD_", literal=True))
        .then(pl.lit("record"))
        .when("is_timed").then(pl.lit("head"))
        .when("is_frame").then(pl.lit("frame"))
        .when(source).then(pl.lit("source"))
        .when(alone).then(pl.lit("head"))
        .otherwise(pl.lit("other"))
    )  # fmt: skip
    return rows.select("number", "line", role.alias("role"))


def parts(rows: pl.DataFrame) -> pl.DataFrame:
    """Add what the heads of samples say.

    Parameters
    ----------
    rows : polars.DataFrame
        Some of :func:`classified`.

    Returns
    -------
    polars.DataFrame
        Instead of the line: comm, pid, tid, cpu, time, period, event, rest, str; null for what is
        no head.
    """
    import polars as pl

    timed, untimed = (pl.col("line").str.extract_groups(one) for one in (TIMED, UNTIMED))
    is_timed = pl.col("timed").struct.field("time").is_not_null()
    texts = [
        pl.when(is_timed).then(pl.col("timed").struct.field(name))
        .when(pl.col("role") == "head")
        .then(pl.col("untimed").struct.field(name) if name in UNTIMED_PARTS else None).alias(name)
        for name in PARTS
    ]  # fmt: skip
    found = []
    for part in in_parts(rows):
        both = part.with_columns(timed.alias("timed"), untimed.alias("untimed"))
        found.append(both.with_columns(*texts).drop("line", "timed", "untimed"))
    return pl.concat(found)


PARTS = ("comm", "pid", "tid", "cpu", "time", "period", "event", "rest")
UNTIMED_PARTS = ("comm", "pid", "tid", "cpu", "period", "event")


def lost(rows: pl.DataFrame) -> int:
    """Return how many samples perf says that it lost."""
    import polars as pl

    found = rows.filter(pl.col("role") == "record").select(
        pl.col("line").str.extract(_LOST).cast(pl.Int64, strict=False).sum()
    )
    return int(found.item() or 0)


def entries(texts: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return names and frames for :func:`workbench.profiles.stack_texts.named_tables`.

    Parameters
    ----------
    texts : polars.Series
        Lines of each stack, leaf first, with the lines of their sources.
    """
    import polars as pl

    lines, rows = numbered(split(texts, "\n"))
    # Only sources stand behind a mark of ours; see samples_of.
    marked = lines["text"].str.starts_with(SOURCE_MARK).to_numpy()
    source = marked[rows["name"].to_numpy()]
    frame = np.flatnonzero(~source)
    name = rows["name"].to_numpy()
    behind = np.append(name[1:], 0)[frame]
    sources = np.where(np.append(source[1:], False)[frame], behind, -1)
    pairs = pl.DataFrame({"line": name[frame], "source": sources})
    distinct = pairs.unique(maintain_order=True)
    at = distinct.with_row_index("name")
    ids = pairs.join(at, on=["line", "source"], how="left", maintain_order="left")["name"]
    known = pl.when(pl.col("source") >= 0).then("source")
    said = distinct.select(
        lines["text"].gather(distinct["line"]).alias("line"),
        lines["text"].gather(distinct.select(known).to_series()).alias("source"),
    ).with_columns(pl.col("source").str.strip_prefix(SOURCE_MARK))
    found = pl.DataFrame({"stack": rows["stack"].gather(frame), "name": ids})
    return _inlined(_parsed(said), found)


SOURCE_MARK = "\x01"


def _parsed(texts: pl.DataFrame) -> pl.DataFrame:
    """Add what frames say to their texts."""
    import polars as pl

    full, bare = (pl.col("line").str.extract_groups(one) for one in (_FRAME, _BARE))
    place = pl.col("source").str.extract_groups(_SOURCE)
    rows = texts.with_columns(
        pl.coalesce(full.struct.field("ip"), bare.struct.field("ip")).alias("ip"),
        pl.coalesce(full.struct.field("symbol"), bare.struct.field("symbol")).alias("symbol"),
        full.struct.field("module").alias("module"),
        place.struct.field("file").alias("place"),
        place.struct.field("line").cast(pl.UInt32, strict=False).alias("source_line"),
    ).with_columns(
        pl.col("ip").str.to_integer(base=16, dtype=pl.UInt64, strict=False).fill_null(0)
        .alias("offset"),
        pl.col("symbol").str.extract_groups(_PYTHON).alias("python"),
        pl.col("module").fill_null("").alias("module"),
    )  # fmt: skip
    module = pl.col("module")
    kernel = (
        module.str.contains(r"^\[(?:kernel|guest\.kernel)|\.ko(?:\.[a-z0-9]+)?$")
        | (pl.col("offset") >= 0xFFFF_8000_0000_0000)
        | (module.str.contains(r"^\[[a-z0-9_]+\]$") & ~module.is_in(_BRACKETS))
    )
    python = pl.col("python").struct.field("function")
    kind = (
        pl.when(module == "inlined").then(pl.lit("inlined"))
        .when(python.is_not_null()).then(pl.lit("python"))
        .when(kernel).then(pl.lit("kernel"))
        .when(module.str.contains(r"/perf-\d+\.map$|^//anon$|^\[JIT\]")).then(pl.lit("jit"))
        .when(module.is_in(["", "[unknown]"])).then(pl.lit("unknown"))
        .otherwise(pl.lit("native"))
    )  # fmt: skip
    whole = pl.when(module.str.starts_with("[kernel")).then(pl.lit("[kernel]")).otherwise(module)
    return rows.select(
        pl.coalesce(python, "symbol").replace("", "[unknown]").alias("function"),
        whole.alias("module"),
        kind.alias("kind"),
        pl.coalesce(pl.col("python").struct.field("file"), "place").alias("file"),
        pl.col("source_line").alias("line"),
        "offset",
    )


_BRACKETS = ["[unknown]", "[vdso]", "[vsyscall]", "[heap]", "[stack]", "[anon]"]
"""Modules in brackets that are none of the kernel's."""


def _inlined(names: pl.DataFrame, frames: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give inlined functions the module of the one that they are in, which stands behind them."""
    import polars as pl

    inlined = (names["kind"] == "inlined").to_numpy()
    if not inlined.any():
        return names, frames
    rows = frames.with_columns(pl.Series("inlined", inlined[frames["name"].to_numpy()]))
    outer = pl.when("inlined").then(None).otherwise("name").alias("outer")
    pairs = rows.with_columns(outer).with_columns(pl.col("outer").backward_fill().over("stack"))
    distinct = pairs.select("name", "outer").unique(maintain_order=True).with_row_index("pair")
    found = pairs.join(
        distinct, on=["name", "outer"], how="left", maintain_order="left", nulls_equal=True
    )
    module = names["module"].gather(distinct["outer"]).fill_null("")
    told = names[distinct["name"].to_numpy()].with_columns(module.alias("module"))
    return told, found.select("stack", pl.col("pair").alias("name"))
