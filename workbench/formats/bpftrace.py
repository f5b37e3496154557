"""bpftrace: maps whose keys hold stacks, as ``print()`` and the end of a script write them.

As text, ``@name[`` keys ``]: count`` with the stacks on lines of their own, or as JSON lines
(``-f json``); one table for each map. Frames are ``function+offset``, or, of ``ustack(perf)``,
``address function+offset (module)``; raw ones are addresses alone.
"""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ImportFormatError
from workbench.formats.format import Format
from workbench.profiles.bpftrace_text import entries, keys
from workbench.profiles.content import too_large
from workbench.profiles.json_text import parsed
from workbench.profiles.profile import Profile, Samples, Value
from workbench.profiles.stack_texts import named_tables, text_lines
from workbench.profiles.tables import check_kinds

if TYPE_CHECKING:
    import polars as pl

_BEGIN = r"^@\w*\["
_END = r"\]: -?\d+$"
_ENTRY = r"(?s)^@(?<map>\w*)\[(?<key>.*)\]: (?<amount>-?\d+)$"
_OTHER = r"\n\]: *(?:\n|$|count )"
_HEAD = re.compile(rb'^@\w*\[$|^@\w*\[.*\]: -?\d+\r?$|^\{"type": ?"(?:map|attached_probes)"', re.M)
_UNNAMED = "samples"
MAX_LINE = 1 << 27
"""Bytes of a line: in JSON it is a whole map."""
MAX_TEXTS = 1 << 23
"""Texts of JSON, and parts of keys: each takes some 100 bytes."""


def recognise(head: bytes) -> float:
    """Tell by maps with keys."""
    return 0.0 if b"\0" in head else 0.85 * bool(_HEAD.search(head))


def read(file: IO[bytes]) -> Profile:
    """Read the maps with stacks; what else was printed is left out.

    Of a key with a stack of the kernel and one of the program, the kernel's is the leaf: it is
    known by the functions with which the kernel is entered, else it is the first one.

    Raises
    ------
    ImportFormatError
        There is no map with stacks.
    """
    import polars as pl

    lines = text_lines(file, longest=MAX_LINE)
    json_lines = lines.filter(lines.str.contains(r'^\s*\{"type"'))
    found, left_out = _from_json(json_lines) if len(json_lines) else _from_text(lines)
    parts = keys(found, MAX_TEXTS)
    stacked = parts.group_by("map").agg(pl.col("frames").list.len().max().alias("deepest"))
    maps = stacked.filter(pl.col("deepest") > 0)["map"]
    parts = parts.filter(pl.col("map").is_in(maps.implode()))
    if parts.is_empty():
        raise ImportFormatError(
            "The file holds no map of bpftrace with stacks.",
            why="Such a map is written as: @[ustack, comm] = count();",
        )
    check_kinds(len(maps))
    texts = parts["frames"].list.join("\n")
    unique = texts.unique(maintain_order=True)
    frames, table = named_tables(*entries(unique), len(unique))
    at = unique.rename("text").to_frame().with_row_index("stack")
    named = parts.with_columns(texts.alias("text")).join(
        at, on="text", how="left", maintain_order="left"
    )
    samples = tuple(
        _samples(part, str(name)) for (name,), part in named.group_by("map", maintain_order=True)
    )
    return Profile(frames, table, samples, problems=_problems(found, parts, left_out))


def _problems(found: pl.DataFrame, used: pl.DataFrame, left_out: set[str]) -> tuple[str, ...]:
    """Tell of maps that are no counts, and of maps that were printed more than once."""
    problems = [f"the map @{name} is left out: its values are no numbers" for name in left_out]
    again = found.filter(found.select("map", "key").is_duplicated())["map"].unique()
    problems += [
        f"the map @{name} was printed several times; its values are added up"
        for name in again
        if name in used["map"]
    ]
    return tuple(sorted(problems))


def _from_text(lines: pl.Series) -> tuple[pl.DataFrame, set[str]]:
    """Return map, key and amount of each entry, and the maps with other values."""
    import polars as pl

    line = pl.col("line")
    rows = (
        lines.rename("line")
        .to_frame()
        .with_columns(
            line.str.contains(_BEGIN).cum_sum().alias("entry"), line.str.contains(_END).alias("end")
        )
    )
    rows = rows.filter(pl.col("entry") > 0)
    before = pl.col("end").cum_sum().over("entry") - pl.col("end")
    texts = (
        rows.filter(before == 0)
        .group_by("entry", maintain_order=True)
        .agg(line.str.join("\n"), pl.col("end").any())
    )
    # Below the head of a histogram or of statistics stand values of their own.
    others = texts.filter(~pl.col("end") & line.str.contains(_OTHER)).select(
        line.str.extract(r"^@(\w*)")
    )
    found = texts.filter("end").select(line.str.extract_groups(_ENTRY).alias("parts"))
    return _checked(found.unnest("parts")), set(others.to_series())


def _from_json(lines: pl.Series) -> tuple[pl.DataFrame, set[str]]:
    import polars as pl

    rows: list[tuple[str, str, int]] = []
    others: set[str] = set()
    if int(lines.str.count_matches('"', literal=True).sum()) > 2 * MAX_TEXTS:
        raise too_large(f"It has more than {MAX_TEXTS:,} texts.")
    for line in lines:
        document = parsed(line.encode())
        # avg() of numbers is printed among the statistics.
        of_maps = document.get("type") in ("map", "stats", "hist")
        data = document.get("data") if of_maps else None
        for name, values in data.items() if isinstance(data, dict) else ():
            if isinstance(values, dict):
                rows += ((name, k, v) for k, v in values.items() if type(v) is int)
                if any(type(v) is not int and "\n" in k for k, v in values.items()):
                    others.add(_safe(name).lstrip("@"))
    if any(abs(amount) >= 1 << 63 for _, _, amount in rows):
        raise ImportFormatError("A count is larger than 64 bits hold.")
    schema = {"map": pl.String, "key": pl.String, "amount": pl.Int64}
    made = [(_safe(name).lstrip("@"), _safe(key), amount) for name, key, amount in rows]
    return pl.DataFrame(made, schema=schema, orient="row"), others


def _safe(text: str) -> str:
    """Return a text without lone halves of surrogate pairs, which JSON can spell."""
    return text.encode("utf-8", "replace").decode()


def _checked(parts: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    found = parts.drop_nulls().with_columns(pl.col("amount").cast(pl.Int64, strict=False))
    if found["amount"].null_count():
        raise ImportFormatError("A count is larger than 64 bits hold.")
    return found


def _samples(part: pl.DataFrame, name: str) -> Samples:
    """Return the entries of a map: a text beside the stacks is the thread's name."""
    import polars as pl

    columns: dict[str, Any] = {}
    texts = 0
    longest = part.select(pl.col("others").list.len().max()).item() or 0
    for at in range(min(longest, 8)):
        values = part["others"].list.get(at, null_on_oob=True)
        numbers = values.cast(pl.Int64, strict=False)
        if numbers.null_count() == values.null_count():
            columns[f"key_{at + 1}"] = numbers.to_arrow()
        else:
            texts += 1
            column = "comm" if texts == 1 else f"key_{at + 1}"
            columns[column] = values.to_arrow(compat_level=pl.CompatLevel.oldest())
    value = Value(name or _UNNAMED, "count", part["amount"].to_numpy().astype(np.int64))
    ids = part["stack"].cast(pl.UInt32).to_numpy()
    return Samples(ids, (value,), columns, table=name or _UNNAMED)


FORMAT = Format("bpftrace", ".bt.txt", "maps with stacks", None, read, recognise)
