"""perf script: the text that it prints, and ``perf.data`` itself through the installed perf."""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ImportFormatError
from workbench.formats.format import Format
from workbench.profiles.perf_text import SOURCE_MARK, classified, entries, lost, parts
from workbench.profiles.profile import Profile, Samples, Value
from workbench.profiles.stack_texts import named_tables, text_lines
from workbench.profiles.tables import check_kinds

if TYPE_CHECKING:
    import polars as pl

_HEAD = re.compile(
    rb"\s{0,20}\S.*?\s{1,20}(?:-?\d{1,10}/)?-?\d{1,10}\s{1,20}(?:\[\d{1,6}\]\s{1,20})?"
    rb"(?:\S{4,6}\s{1,20})?\d{1,12}\.\d{6,9}:"
)
_FRAME = re.compile(rb"\t {0,20}[0-9a-f]{3,16} \S|[ \t]{1,20}[0-9a-f]{3,16} \S.* \(.*\)\r?$")
_LINES, _WIDTH = 200, 1000
"""Lines, and bytes of them, from which the format is recognised."""
_CPU = ("cpu-clock", "task-clock", "cycles", "cpu-cycles")
"""Events that sample what uses the CPU."""
_CLOCKS = ("cpu-clock", "task-clock")
"""Events whose periods are nanoseconds."""
_MODIFIERS = r":[ukhpPGHISDWeb]+$"
_UNNAMED = "samples"
MAX_LINES = 1 << 24
"""Lines: most of them are frames."""
_OWN_FRAME = r"^[0-9a-f]{1,16}\s"
_TRACEPOINT = r"^[^/:]+:[^/:]+$"


def recognise(head: bytes) -> float:
    """Tell by lines of samples with a time, and by frames with an address and a module."""
    if b"\0" in head:
        return 0.0
    lines = [line[:_WIDTH] for line in head.split(b"\n", _LINES)[:_LINES]]
    frames = any(_FRAME.match(line) for line in lines)
    return (0.8 if frames else 0.4) if any(map(_HEAD.match, lines)) else 0.5 * frames


def read(file: IO[bytes]) -> Profile:
    """Read what ``perf script`` printed, with any of its fields (``-F``).

    Times are those of perf's clock, which begins when the machine does. Each event is a table:
    events of the CPU's time are ``cpu``.

    Raises
    ------
    ImportFormatError
        There is no sample in it.
    """
    import polars as pl

    rows = classified(text_lines(file, lines=MAX_LINES))
    role = pl.col("role")
    # Without a head, frames behind an empty line begin a sample.
    quiet = role.shift(1, fill_value="blank").is_in(["blank", "other", "record"])
    begins = (role == "head") | ((role == "frame") & quiet)
    rows = rows.with_columns(begins.cum_sum().alias("sample"), begins.alias("begins"))
    heads = parts(rows.filter("begins"))
    if heads.is_empty():
        raise ImportFormatError(
            "The file holds no sample of perf script.",
            why="A sample is a line such as: bash 3712 [001] 24478.556987: 2004008 cycles:",
        )
    stacks = _stacks(rows, heads)
    unique = stacks.unique(maintain_order=True)
    frames, table = named_tables(*entries(unique), len(unique))
    at = pl.DataFrame({"text": unique}).with_row_index("stack")
    found = heads.with_columns(stacks.alias("text")).join(
        at, on="text", how="left", maintain_order="left"
    )
    times = _times(found["time"])
    check_kinds(found["event"].n_unique())
    named = found.with_columns(
        pl.col("event").str.replace(_MODIFIERS, "").fill_null(_UNNAMED),
        pl.lit(None, pl.Int64).alias("ts") if times is None else pl.Series("ts", times),
    )
    tables = tuple(
        _samples(part, name, timed=times is not None)
        for (name,), part in named.group_by("event", maintain_order=True)
    )
    start = int(times.min()) if times is not None else None
    length = int(times.max()) - start if times is not None and start is not None else None
    return Profile(
        frames,
        table,
        tables,
        start_ns=start or None,
        duration_ns=length,
        facts={"clock": "perf's own, from the start of the machine", "time_known": False},
        problems=_problems(rows, stacks),
    )


def _stacks(rows: pl.DataFrame, heads: pl.DataFrame) -> pl.Series:
    """Return the lines of each sample's stack, one text a sample; sources get a mark."""
    import polars as pl

    line = pl.col("line")
    source = pl.col("role") == "source"
    texts = (
        rows.filter(pl.col("role").is_in(["frame", "source"]))
        .select(
            "sample",
            pl.when(source).then(pl.lit(SOURCE_MARK) + line.str.strip_chars())
            .otherwise(line).alias("line"),
        )
        .group_by("sample", maintain_order=True)
        .agg(line.str.join("\n"))
    )  # fmt: skip
    found = heads.select("sample", "rest").join(
        texts, on="sample", how="left", maintain_order="left"
    )
    # Without call chains the frame stands in the head itself.
    own = pl.when(pl.col("rest").str.contains(_OWN_FRAME)).then("rest")
    return found.select(pl.coalesce("line", own, pl.lit(""))).to_series()


def _times(texts: pl.Series) -> np.typing.NDArray[np.int64] | None:
    """Return times in ns, None if a sample has none."""
    import polars as pl

    parts = texts.str.split_exact(".", 1).struct.unnest()
    seconds = parts["field_0"].cast(pl.Int64, strict=False)
    rest = parts["field_1"].str.pad_end(9, "0").cast(pl.Int64, strict=False)
    if seconds.null_count() or rest.null_count() or int(seconds.max() or 0) >= 2**32:  # type: ignore[arg-type]
        return None
    times: np.typing.NDArray[np.int64] = (seconds * 10**9 + rest).to_numpy()
    return times


def _samples(part: pl.DataFrame, event: str, *, timed: bool) -> Samples:
    import polars as pl

    columns: dict[str, Any] = {}
    if timed:
        columns["ts"] = part["ts"].to_arrow()
    for name, dtype in (("cpu", pl.UInt16), ("pid", pl.UInt32), ("tid", pl.UInt32)):
        numbers = part[name].cast(pl.Int64, strict=False).replace(-1, 0)
        known = numbers.cast(dtype, strict=False)
        if not known.null_count():
            columns[name] = known.to_arrow()
    if part["comm"].null_count() < len(part):
        names = part["comm"].fill_null("").str.strip_chars()
        columns["comm"] = names.to_arrow(compat_level=pl.CompatLevel.oldest())
    if re.fullmatch(_TRACEPOINT, event):
        said = part["rest"].str.strip_chars().replace("", None)
        if said.null_count() < len(said):
            columns["fields"] = said.to_arrow(compat_level=pl.CompatLevel.oldest())
    ones = np.ones(len(part), np.int64)
    values = [Value("samples", "count", ones)]
    periods = part["period"].cast(pl.Int64, strict=False)
    if not periods.null_count():
        unit = "nanoseconds" if event in _CLOCKS else "count"
        values.append(Value("period", unit, periods.to_numpy().astype(np.int64)))
    plain = event.rpartition("/")[0].rpartition("/")[2] or event  # cpu_core/cycles/
    of_cpu = plain in (*_CPU, _UNNAMED)
    return Samples(
        part["stack"].cast(pl.UInt32).to_numpy(),
        tuple(values),
        columns,
        # Of page faults and the like a sample stands for many, how many differs: as perf report.
        default="samples" if of_cpu else values[-1].name,
        table="cpu" if of_cpu else event,
        facts={"event": event},
    )


def _problems(rows: pl.DataFrame, stacks: pl.Series) -> tuple[str, ...]:
    import polars as pl

    problems = []
    if (stacks == "").all():
        problems.append("no sample has a stack: record with -g, print with the fields ip and sym")
    if missing := lost(rows):
        problems.append(f"perf lost {missing:,} samples")
    others = rows.filter(pl.col("role") == "other")
    if len(others):
        first = others.row(0, named=True)
        problems.append(
            f"{len(others):,} lines were not understood, the first is line {first['number']}: "
            f"{first['line'][:100]!r}"
        )
    return tuple(problems)


FORMAT = Format("perf-script", ".perf", "what perf script prints", None, read, recognise)
