"""Writing of speedscope files: one profile after the other, each in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

import numpy as np

from workbench.errors import MissingTableError
from workbench.formats._json import dumps, put_all, put_arrays
from workbench.frames.by_thread import Thread, by_thread
from workbench.frames.samples import functions, samples
from workbench.frames.stacks import profiled
from workbench.frames.threads import threads

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

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
    kind = table or profiled(rec)
    found = samples(rec, kind)
    people = by_thread([found.scan])
    first = next(people, None)
    if first is None:
        raise MissingTableError(
            f"Nothing is selected of {kind!r}: speedscope refuses files without a profile.",
            advice="Widen the selection.",
        )
    named, function = functions(found.frames)
    stacks = _stack_texts(function[found.flat], found.offsets)
    head = {
        "$schema": SCHEMA,
        "exporter": f"ebpf-workbench {rec.manifest.workbench}",
        "name": f"{rec.path.name} {kind}",
    }
    file.write(dumps(head)[:-1] + b',"shared":{"frames":[\n')
    put_all(file, _frames(named), b"")
    file.write(b'\n]},"profiles":[\n')
    names = {(row[0], row[1]): row[2] for row in threads(rec, [kind]).iter_rows()}
    unit = _UNITS.get(found.unit, "none")
    sums = []
    one: Thread | None = first
    while one is not None:
        name = f"{names.get((one.pid, one.tid), '')} ({one.pid}/{one.tid})"
        sums.append(_put_profile(file, one, stacks, name, unit))
        one = next(people, None)
        file.write(b",\n" if one else b"\n")
    heaviest = int(np.argmax(sums))
    file.write(b'],"activeProfileIndex":' + dumps(heaviest) + b"}\n")


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


def _put_profile(file: IO[bytes], one: Thread, stacks: pl.Series, name: str, unit: str) -> int:
    """Write the profile of a thread; return the sum of its weights."""
    (parts,) = one.scans
    head = {"type": "sampled", "name": name, "unit": unit, "startValue": 0}
    file.write(dumps(head)[:-1] + b',"samples":')
    # A stack has one text for all of its samples; the texts of all samples are many times more.
    pieces = (piece for part in parts() for piece in part["stack"].to_frame().iter_slices(_PIECE))
    put_arrays(file, (stacks.gather(piece["stack"]) for piece in pieces))
    file.write(b',"weights":')
    total = 0

    def weights() -> Iterator[pl.Series]:
        nonlocal total
        for part in parts():
            total += int(part["amount"].sum())
            yield part["amount"]

    put_arrays(file, weights())
    file.write(b',"endValue":' + dumps(total) + b"}")
    return total
