"""speedscope: the samples of each thread in the order of time, for speedscope.app.

The format is described by ``file-format-schema.json`` of speedscope, version 1.25.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import numpy as np

from workbench.errors import MissingTableError
from workbench.formats._json import dumps, put_all, put_array
from workbench.formats.format import Format
from workbench.frames.samples import functions, samples, with_stacks
from workbench.frames.threads import threads

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from workbench.frames.samples import Samples
    from workbench.recording import Recording

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
_UNITS = {"ns": "nanoseconds", "bytes": "bytes"}
"""speedscope's names of units; counts have none."""


def write(rec: Recording, file: IO[bytes], table: str | None) -> None:
    """Write one profile for each thread of a table with stacks.

    A frame is a function, as in the hot spots; weights are samples, nanoseconds or bytes.
    """
    kind = table or with_stacks(rec)
    found = samples(rec, kind)
    if found.rows.is_empty():
        raise MissingTableError(
            f"Nothing is selected of {kind!r}: speedscope refuses files without a profile.",
            advice="Widen the selection.",
        )
    named, function = functions(found.frames)
    stacks = _stack_texts(function[found.flat], found.offsets)
    groups = found.rows.partition_by("pid", "tid", maintain_order=True)
    heaviest = int(np.argmax([int(group["amount"].sum()) for group in groups]))
    head = {
        "$schema": SCHEMA,
        "exporter": f"ebpf-workbench {rec.manifest.workbench}",
        "name": f"{rec.path.name} {kind}",
        "activeProfileIndex": heaviest,
    }
    file.write(dumps(head)[:-1] + b',"shared":{"frames":[\n')
    put_all(file, _frames(named), b"")
    file.write(b'\n]},"profiles":[')
    names = {(row[0], row[1]): row[2] for row in threads(rec, [kind]).iter_rows()}
    for number, group in enumerate(groups):
        file.write(b",\n" if number else b"\n")
        pid, tid = group.row(0)[:2]
        _put_profile(file, group, stacks, found, f"{names.get((pid, tid), '')} ({pid}/{tid})")
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


def _put_profile(
    file: IO[bytes], group: pl.DataFrame, stacks: pl.Series, found: Samples, name: str
) -> None:
    head = {
        "type": "sampled",
        "name": name,
        "unit": _UNITS.get(found.unit, "none"),
        "startValue": 0,
        "endValue": int(group["amount"].sum()),
    }
    file.write(dumps(head)[:-1] + b',"samples":')
    put_array(file, stacks.gather(group["stack"]))
    file.write(b',"weights":')
    put_array(file, group["amount"])
    file.write(b"}")


FORMAT = Format(
    "speedscope", ".speedscope.json", "stacks of each thread over time: speedscope.app", write
)
