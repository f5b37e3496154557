"""Writing of speedscope files: one profile after the other, each in pieces."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import numpy as np

from workbench.errors import MissingTableError
from workbench.formats._columns import Columns
from workbench.formats._json import dumps, put_all
from workbench.frames.by_time import by_time
from workbench.frames.samples import functions, samples
from workbench.frames.stacks import profiled
from workbench.frames.threads import threads

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from workbench.formats._columns import Column
    from workbench.recording import Recording

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
_UNITS = {"ns": "nanoseconds", "bytes": "bytes"}
"""speedscope's names of units; counts have none."""
_PIECE = 1 << 14
"""Stacks that are written at once."""


def write(rec: Recording, file: IO[bytes], table: str | None) -> None:
    """Write one profile for each thread of a table with stacks.

    A frame is a function, as in the hot spots; weights are samples, nanoseconds or bytes.
    """
    import polars as pl

    kind = table or profiled(rec)
    found = samples(rec, kind)
    named, function = functions(found.frames)
    stacks = _stack_texts(function[found.flat], found.offsets)
    columns: dict[str, Column] = {
        "samples": lambda rows: stacks.gather(rows["stack"]),
        "weights": lambda rows: rows["amount"],
    }
    sums: dict[tuple[int, int], int] = {}
    with Columns(columns) as profiles:
        for part in by_time(found.scan):
            # A stack has one text for all of its samples: together those are many times more.
            profiles.add(part.iter_slices(_PIECE))
            amounts = part.group_by("pid", "tid").agg(pl.col("amount").sum())
            for pid, tid, amount in amounts.iter_rows():
                sums[pid, tid] = sums.get((pid, tid), 0) + amount
        if not sums:
            raise MissingTableError(
                f"Nothing is selected of {kind!r}: speedscope refuses files without a profile.",
                advice="Widen the selection.",
            )
        head = {
            "$schema": SCHEMA,
            "exporter": f"ebpf-workbench {rec.manifest.workbench}",
            "name": f"{rec.path.name} {kind}",
            "activeProfileIndex": int(np.argmax([sums[who] for who in profiles.threads()])),
        }
        file.write(dumps(head)[:-1] + b',"shared":{"frames":[\n')
        put_all(file, _frames(named), b"")
        file.write(b'\n]},"profiles":[')
        names = {(row[0], row[1]): row[2] for row in threads(rec, [kind]).iter_rows()}
        nameless = not {"pid", "tid"} & set(rec[kind].schema.names)  # numbers are ours then
        for number, who in enumerate(profiles.threads()):
            title = names.get(who, "")
            one = {
                "type": "sampled",
                "name": title if nameless else f"{title} ({who[0]}/{who[1]})",
                "unit": _UNITS.get(found.unit, "none"),
                "startValue": 0,
                "endValue": sums[who],
            }
            file.write((b",\n" if number else b"\n") + dumps(one)[:-1] + b",")
            profiles.put(file, who)
            file.write(b"}")
    file.write(b"\n]}\n")


def _frames(named: pl.DataFrame) -> list[dict[str, str]]:
    """Return what the functions are called, and where they are: a source file, else a module."""
    return [
        {"name": name} | ({"file": file or module} if file or module else {})
        for name, module, _, file in named.iter_rows()
    ]


def _stack_texts(flat: NDArray[np.int64], offsets: NDArray[np.int64]) -> pl.Series:
    """Return each stack as a JSON array of frames, root first."""
    import polars as pl

    length = np.diff(offsets)
    row = np.repeat(np.arange(len(length)), length)
    step = np.arange(len(flat)) - offsets[row]
    rooted = flat[offsets[row + 1] - 1 - step]
    texts = (
        pl.DataFrame({"row": row, "frame": rooted})
        .group_by("row", maintain_order=True)
        .agg(pl.col("frame").cast(pl.String).str.join(","))
    )
    rows = pl.DataFrame({"row": np.arange(len(length))}).join(texts, on="row", how="left")
    return rows.sort("row").select(pl.format("[{}]", pl.col("frame").fill_null(""))).to_series()
