"""Texts of Java: ``--- heapz 1 ---`` and ``--- contentionz 1 ---``, whose addresses are named.

Behind the samples, size or time before the count, stand lines ``0xADDRESS function (file:line)``.
The addresses are but numbers for what is named.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import numpy as np

from workbench.formats.pprof.legacy.build import Label, Legacy
from workbench.formats.pprof.legacy.text import addresses, refused, said
from workbench.profiles.stack_texts import MAX_TEXT, numbers, text_lines

if TYPE_CHECKING:
    import polars as pl

_HEADS = {"--- heapz 1 ---": "heap", "--- contentionz 1 ---": "contention"}
_ATTRIBUTE = re.compile(r"\s*([\w ]+?)\s*=\s*([\w ]+?)\s*$")
_KNOWN = ("format", "resolution", "sampling period", "ms since reset")
_SAMPLE = r"^\s*(?<amount>[0-9]+) +(?<n>[0-9]+) +@ +(?<stack>[ x0-9a-f]*)\s*$"
_NAMED = r"^\s*0x(?<address>[0-9a-fA-F]{1,16})\s+(?<text>.*?)\s*$"
_PLACE = r"^(?<function>.*)\s+\((?<file>.+):(?<line>-?[0-9]+)\)$"
_LIBRARY = r"^(?<function>.*)\s+\((?:.*/)?(?<file>[^/]*)\)$"
_STUB = "generated stub/JIT"
_RATE = 1 << 19
"""Bytes between two samples of the heap (``javaHeapzSamplingRate`` in google/pprof)."""


def begins(line: str) -> bool:
    """Return whether a line begins a text of Java; one on contention may be of C++ as well."""
    return line.strip() in _HEADS


def lines_of(content: bytes) -> pl.Series:
    """Return the lines of a text that follows words."""
    return text_lines(io.BytesIO(content), MAX_TEXT)


def attributes(lines: pl.Series) -> dict[str, str] | None:
    """Return the attributes of a text of Java, None where it is none."""
    found: dict[str, str] = {}
    for line in lines.slice(1, 64).to_list():
        match = _ATTRIBUTE.match(line)
        if match:
            found[match[1]] = match[2]
        elif line.strip():
            break
    if "resolution" not in found or found.get("format", "java") != "java":
        return None
    return found if set(found) <= set(_KNOWN) else None


def text(lines: pl.Series, told: dict[str, str]) -> Legacy:
    """Read a text of Java.

    Parameters
    ----------
    lines : polars.Series
    told : dict
        Of :func:`attributes`.

    Raises
    ------
    ImportFormatError
        A sample or an attribute is not whole.
    """
    from workbench.formats.pprof.legacy.contention import DROP_FRAMES as LOCKS
    from workbench.formats.pprof.legacy.heap import DROP_FRAMES as ALLOCATORS
    from workbench.formats.pprof.legacy.heap import unsampled

    kind, unit = _HEADS[str(lines[0]).strip()], told["resolution"]
    body = lines.slice(1)
    found = body.str.extract_groups(_SAMPLE).struct.unnest().drop_nulls("stack")
    count, amount = (numbers(found[name], "An amount") for name in ("n", "amount"))
    stacks = addresses(found["stack"])
    period, since = (_number(told.get(name, "0"), name) for name in _KNOWN[2:])
    labels: tuple[Label, ...] = ()
    if kind == "heap":
        if not count.all():
            raise refused("some bytes are those of no block")
        labels = (Label("bytes", np.arange(len(count)), amount // count),)
        count, amount = unsampled(count, amount, _RATE)
    elif period:
        count, amount = count * period, amount * period
    types = {
        "heap": (("inuse_objects", "count"), ("inuse_space", unit)),
        "contention": (("contentions", "count"), ("delay", unit)),
    }
    times = ("contentions", "count", period) if "sampling period" in told else ("", "", 0)
    return Legacy(
        types[kind], np.stack([count, amount], axis=1), stacks, times,
        duration_ns=max(0, since) * 1_000_000, names=names(body), placed=False, labels=labels,
        drop_frames=ALLOCATORS if kind == "heap" else LOCKS,
    )  # fmt: skip


def names(lines: pl.Series) -> pl.DataFrame:
    """Return what lines tell of addresses: address (u64), function, file, line."""
    import polars as pl

    rows = lines.filter(said(lines)).str.extract_groups(_NAMED).struct.unnest().drop_nulls()
    whole = pl.col("text")
    rows = rows.with_columns(
        whole.str.extract_groups(_PLACE).alias("place"),
        whole.str.extract_groups(_LIBRARY).alias("library"),
    )
    place, library = pl.col("place").struct, pl.col("library").struct
    line = place.field("line").cast(pl.Int64, strict=False).fill_null(0)
    return rows.select(
        pl.col("address").str.to_integer(base=16, dtype=pl.UInt64, strict=False),
        function=pl.coalesce(
            place.field("function"),
            library.field("function"),
            pl.when(whole.str.contains(_STUB, literal=True)).then(pl.lit("STUB")).otherwise(whole),
        ),
        file=pl.coalesce(place.field("file"), library.field("file"), pl.lit("")),
        line=pl.when(line.is_between(1, (1 << 32) - 1)).then(line).otherwise(0),
    ).unique("address", keep="last", maintain_order=True)  # fmt: skip


def _number(text: str, name: str) -> int:
    if not re.fullmatch(r"\d{1,18}", text):
        raise refused(f"{name} cannot be {text[:40]!r}")
    return int(text)
