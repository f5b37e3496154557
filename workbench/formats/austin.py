"""austin: collapsed stacks of Python threads, as austin 3 writes them.

``P7879;T0:7881;job.py:main:3;job.py:work:9 5076``: a process, a thread (of an interpreter), frames
from the root to the leaf, then the time in µs, in mode memory bytes (negative where they were given
back), in mode full all of time, idle (0 or 1) and bytes. https://github.com/P403n1x87/austin
"""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ImportFormatError
from workbench.formats.format import Format
from workbench.profiles.profile import Profile, Samples, Value
from workbench.profiles.stack_texts import (
    named_tables,
    numbered,
    numbers,
    places,
    split,
    text_lines,
)

if TYPE_CHECKING:
    import polars as pl

_LINE = re.compile(rb"P\d+;T(?:\d+:)?(?:0x)?[0-9a-f]+(?:;.*)? -?\d+(?:,-?\d+,-?\d+)?\r?")
_PARTS = (
    r"^P(?<pid>\d+);T(?:\d+:)?(?<tid>(?:0x)?[0-9a-f]+)(?:;(?<stack>.*))? "
    r"(?<metrics>-?\d+(?:,-?\d+,-?\d+)?)$"
)
_FRAME = r"^(.*):([^:]*):(\d+)$"
MODES = ("wall", "cpu", "memory", "full")
_TOP = b"# austin: "
_MOJO = b"MOJ"


def recognise(head: bytes) -> float:
    """Tell by austin's own first line, or by stacks that begin with process and thread."""
    if head.startswith((_TOP, _MOJO)):
        return 1.0
    lines = [one for one in head.split(b"\n")[:-1] if one.strip() and not one.startswith(b"#")]
    return 0.9 if lines and all(_LINE.fullmatch(line) for line in lines[:100]) else 0.0


def read(file: IO[bytes]) -> Profile:
    """Read collapsed stacks of austin; each line stays a sample, in its order.

    Raises
    ------
    ImportFormatError
        The file is binary (MOJO), a line is none of austin's, or there is no sample.
    """
    import polars as pl

    file.seek(0)
    if file.read(len(_MOJO)) == _MOJO:
        raise ImportFormatError(
            "austin's binary format (MOJO) is not read.",
            advice="Make it text: mojo2austin FILE OUT, or run austin without -b",
        )
    lines = text_lines(file).to_frame("line").with_row_index("number", 1)
    lines = lines.filter(pl.col("line").str.strip_chars() != "")
    notes = lines.filter(pl.col("line").str.starts_with("# "))["line"]
    parts = (
        lines.filter(~pl.col("line").str.starts_with("#"))
        .with_columns(pl.col("line").str.extract_groups(_PARTS).alias("parts"))
        .unnest("parts")
    )
    wrong = parts.filter(pl.col("metrics").is_null())
    if len(wrong):
        raise ImportFormatError(
            f"Line {wrong['number'][0]} is no sample of austin.",
            why=f"It is {wrong['line'][0][:100]!r}",
        )
    if parts.is_empty():
        raise ImportFormatError("The file holds no sample.")
    facts = _facts(notes)
    stacks = parts["stack"].fill_null("")
    unique = stacks.unique(maintain_order=True)
    ids = places(stacks, unique)
    frames, table = named_tables(*_entries(unique), len(unique))
    mode = facts.get("mode", "")
    samples = Samples(ids, _values(parts["metrics"], mode), _who(parts), **_named(mode))
    duration = facts.get("duration", "")
    length = int(duration) * 1000 if duration.isdecimal() and len(duration) < 16 else None
    return Profile(frames, table, (samples,), duration_ns=length, facts={"austin": facts})


def _facts(notes: pl.Series) -> dict[str, str]:
    """Return what lines such as ``# mode: wall`` say."""
    pairs = (line[2:].partition(":") for line in notes.head(100))
    return {key[:40]: value.strip()[:200] for key, colon, value in pairs if colon}


def _entries(texts: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return names and frames of stacks, ``file:function:line`` each, leaf first."""
    import polars as pl

    names, entries = numbered(split(texts, ";", rooted=True))
    place = pl.col("text").str.extract_groups(_FRAME)
    parsed = names.select(
        function=pl.coalesce(place.struct[1], "text"),
        file=place.struct[0].replace("", None),
        line=place.struct[2].cast(pl.UInt32, strict=False),
        kind=pl.when(place.struct[1].is_null()).then(pl.lit("unknown")).otherwise(pl.lit("python")),
    )
    return parsed, entries


def _values(metrics: pl.Series, mode: str) -> tuple[Value, ...]:
    """Return the values of all samples: all of mode full, or the one of another mode."""
    columns = metrics.str.split(",")
    lengths = columns.list.len()
    if lengths.n_unique() > 1:
        raise ImportFormatError("Some samples have one figure, others three.")
    found = [numbers(columns.list.get(at), "A figure of a sample") for at in range(lengths[0])]
    if len(found) == 3:
        time, idle, size = found
        busy = np.where(idle == 0, time, 0)
        return (
            Value("memory", "bytes", size),
            Value("cpu", "microseconds", busy),
            Value("wall", "microseconds", time),
        )
    unit = "bytes" if mode == "memory" else "microseconds"
    return (Value(mode if mode in MODES else "wall", unit, found[0]),)


def _named(mode: str) -> dict[str, Any]:
    return {"table": "memory" if mode == "memory" else "cpu" if mode == "cpu" else "wall"}


def _who(parts: pl.DataFrame) -> dict[str, Any]:
    """Return processes and threads; of a thread that is named by its address only the process."""
    import polars as pl

    decimal = parts["tid"].str.contains(r"^\d{1,10}$").all()
    names = ["pid", "tid"] if decimal else ["pid"]
    found = parts.select(pl.col(names).cast(pl.UInt32, strict=False))
    if any(found[name].null_count() for name in names):
        raise ImportFormatError("A process or thread has a number that no process can have.")
    return {name: found[name].to_arrow() for name in names}


FORMAT = Format("austin", ".austin", "samples of Python threads", None, read, recognise)
