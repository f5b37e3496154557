"""Keys of bpftrace's maps, taken apart: stacks of the kernel and the program, and the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.profiles.content import too_large
from workbench.profiles.stack_texts import numbered, split

if TYPE_CHECKING:
    import polars as pl

_FRAME = (
    r"^[\x01\x02]?\s+(?:(?<ip>(?:0x)?[0-9a-f]{5,16})(?:\s+|$))?(?<function>.*?)(?:\+(?:0x)?[0-9a-f]+)?"
    r"(?:\s+\((?<module>(?:[^()]|\([^()]*\))*)\))?$"
)
_ENTRIES = (
    r"entry_SYSCALL|do_syscall_|asm_|ret_from_fork|secondary_startup|start_kernel|el0t?_|"
    r"work_pending|x64_sys_call|kthread$"
)
"""Functions with which stacks of the kernel begin."""
_KERNEL, _USER = "\x01", "\x02"
"""Put before the lines of stacks of which it is known where they ran."""


def keys(found: pl.DataFrame, most: int) -> pl.DataFrame:
    """Split keys: ``frames`` are the lines of their stacks, leaf first, ``others`` the rest.

    Parameters
    ----------
    found : polars.DataFrame
        ``map``, ``key`` and ``amount``.
    most : int
        Parts that all keys may have.

    Raises
    ------
    ImportFormatError
        They have more.
    """
    import polars as pl

    rows = found.with_row_index("row").with_columns(pl.col("key").str.split("\n").alias("line"))
    lines = rows.select("row", "line").explode("line")
    is_frame = pl.col("line").str.contains(r"^\s+\S")
    commas = lines.select(pl.col("line").str.count_matches(",", literal=True).sum()).item()
    if int(commas or 0) > most:
        raise too_large(f"Its keys have more than {most:,} parts.")
    run = (is_frame != is_frame.shift(1, fill_value=False)).cum_sum().over("row")
    lines = lines.with_columns(is_frame.alias("is_frame"), run.alias("run"))
    stacks = (
        lines.filter("is_frame")
        .group_by("row", "run", maintain_order=True)
        .agg("line")
        .with_columns(pl.col("line").list.last().str.contains(_ENTRIES).alias("kernel"))
        .pipe(_marked, rows.select("row", "map"))
        .sort("row", pl.col("kernel"), descending=[False, True], maintain_order=True)
        .group_by("row", maintain_order=True)
        .agg(
            pl.col("line").list.explode(keep_nulls=False, empty_as_null=False).alias("frames"),
            pl.col("kernel").any(),
        )
    )
    others = (
        lines.filter(~pl.col("is_frame"))
        .group_by("row", maintain_order=True)
        .agg(pl.col("line").str.join(","))
        .select("row", pl.col("line").str.split(",").alias("others"))
    )
    empty = pl.lit([], pl.List(pl.String))
    return (
        rows.select("row", "map", "amount")
        .join(stacks, on="row", how="left", maintain_order="left")
        .join(others, on="row", how="left", maintain_order="left")
        .with_columns(
            pl.coalesce("frames", empty),
            pl.coalesce("others", empty)
            .list.eval(pl.element().str.strip_chars())
            .list.eval(pl.element().filter(pl.element() != "")),
        )
    )


def _marked(stacks: pl.DataFrame, maps: pl.DataFrame) -> pl.DataFrame:
    """Mark the lines of the kernel, and the program's in maps whose keys have both."""
    import polars as pl

    both = (pl.len() > 1) & pl.col("kernel").any()
    found = stacks.join(maps, on="row", how="left", maintain_order="left")
    found = found.with_columns(both.over("row").any().over("map").alias("both"))
    mark = (
        pl.when("kernel").then(pl.lit(_KERNEL))
        .when("both").then(pl.lit(_USER)).otherwise(pl.lit(""))
    )  # fmt: skip
    lines = found.explode("line").with_columns(pl.concat_str(mark, "line").alias("line"))
    return lines.group_by("row", "run", maintain_order=True).agg("line", pl.col("kernel").first())


def entries(texts: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return names and frames of stacks, as ``stack_texts.named_tables`` takes them."""
    import polars as pl

    names, frames = numbered(split(texts, "\n"))
    parts = pl.col("text").str.extract_groups(_FRAME)
    module = parts.struct.field("module").fill_null("")
    offset = parts.struct.field("ip").str.strip_prefix("0x").str.to_integer(
        base=16, dtype=pl.UInt64, strict=False
    )  # fmt: skip
    mark = pl.col("text").str.head(1)
    high = (offset >= 0xFFFF_8000_0000_0000).fill_null(False)
    kernel = module.str.starts_with("[kernel") | high | (mark == _KERNEL)
    name = parts.struct.field("function").replace("", None)
    bare = pl.col("text").str.strip_prefix(_KERNEL).str.strip_prefix(_USER).str.strip_chars()
    native = (module != "") | (offset > 0).fill_null(False) | (mark == _USER)
    parsed = names.select(
        function=pl.coalesce(name, bare),
        module=pl.when(module.str.starts_with("[kernel")).then(pl.lit("[kernel]")).otherwise(module),
        offset=offset.fill_null(0),
        kind=pl.when(kernel).then(pl.lit("kernel"))
        .when(native).then(pl.lit("native")).otherwise(pl.lit("unknown")),
    )  # fmt: skip
    return parsed, frames
