"""Samples of stacks as Perfetto's packets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import ExportError
from workbench.formats._packets import Piece, column, filled, message, number
from workbench.frames.stacks import COUNT
from workbench.frames.threads import named_threads
from workbench.table import collected

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from workbench.formats._perfetto_stacks import Stacks
    from workbench.recording import Recording

NEEDS = 2
"""``SequenceFlags``: interned data are needed."""
KERNEL, USER = 1, 2
"""``Profiling.CpuMode``."""
SEQUENCE = number(10, 1)
TIME, ID, I64 = 9, 5, 10
"""Bytes of times (63 bits), of numbers that we give out (35 bits), of any integer."""
MAX_WEIGHT = 1000
"""Samples that a row becomes at most."""
_ROWS = 1 << 14
"""Rows, and about as many samples, that are written at once."""


def packets_of(pieces: list[Piece]) -> list[Piece]:
    """Return the template of packets with a time."""
    return message(1, [*column(8, "ts", TIME), SEQUENCE + number(13, NEEDS), *pieces])


def is_sampled(rec: Recording, name: str) -> bool:
    """Return whether the rows of a table can be samples."""
    return {"ts", "stack_id", COUNT} <= set(rec[name].schema.names)


def is_heavy(rec: Recording, name: str) -> bool:
    """Return whether a row of a table stands for more samples than can be written."""
    import polars as pl

    most = collected(rec[name].lazy().select(pl.col(COUNT).max())).item()
    return most is not None and int(most) > MAX_WEIGHT


def heaviness(name: str, weight: int) -> ExportError:
    """Return the error for a row that stands for too many samples."""
    return ExportError(
        f"A row of {name} stands for {weight:,} events; Perfetto's samples have no weight.",
        why=f"It would have to be repeated; rows of at most {MAX_WEIGHT:,} events are.",
        advice="Name another table, or use another format, such as speedscope, pprof or folded.",
    )


def sample_packets(rec: Recording, name: str, stacks: Stacks, offset: int) -> Iterator[bytes]:
    """Yield the samples of a table, each as often as its weight says.

    Parameters
    ----------
    rec : Recording
    name : str
        The table. Where it has no ``tid``, threads are those of
        :func:`workbench.frames.threads.named_threads`.
    stacks : Stacks
    offset : int
        What times of the session are later than those of the trace, ns.

    Raises
    ------
    ExportError
        A row stands for too many samples.
    """
    import polars as pl

    names = rec[name].schema.names
    named = named_threads(rec, name)
    read = [one for one in ("cpu", "pid", "tid") if one in names]
    who = read if named is None else [*read, "tid"]
    sample = [
        *(piece for one, field in (("cpu", 1), ("pid", 2), ("tid", 3)) if one in who
          for piece in column(field, one, ID)),
        *column(5, "mode", 1),
        *column(6, "count", TIME),
        *column(4, "stack", ID),
    ]  # fmt: skip
    template = packets_of(message(66, sample))
    read += [] if named is None else ["comm"]
    before = 0
    for batch in rec[name].batches([*read, "ts", "stack_id", COUNT]):
        for part in pl.DataFrame(batch).iter_slices(_ROWS):
            rows = part
            if named is not None:
                texts = part.with_columns(pl.col("comm").cast(pl.String).fill_null(""))
                rows = texts.join(named, on="comm", how="left", maintain_order="left")
            columns = _columns(name, rows, who, stacks, offset)
            for samples in _repeated(columns, rows[COUNT].to_numpy()):
                size = len(samples["ts"])
                samples["count"] = before + np.arange(1, size + 1)
                before += size
                yield filled(template, samples, size).tobytes()


def _columns(
    name: str, rows: pl.DataFrame, who: list[str], stacks: Stacks, offset: int
) -> dict[str, NDArray[np.int64]]:
    """Return the numbers of each row's samples."""
    import polars as pl

    most = int(rows[COUNT].to_numpy().max())
    if most > MAX_WEIGHT:
        raise heaviness(name, most)
    stack = stacks.numbers(rows["stack_id"])
    found = {one: rows[one].cast(pl.Int64).fill_null(0).to_numpy() for one in who}
    found |= {"ts": rows["ts"].cast(pl.Int64).to_numpy() - offset, "stack": stack}
    found["mode"] = np.where(stacks.in_kernel[stack], KERNEL, USER)
    return found


def _repeated(
    columns: dict[str, NDArray[np.int64]], weights: NDArray[np.unsignedinteger]
) -> Iterator[dict[str, NDArray[np.int64]]]:
    """Yield columns with each row as often as its weight says, about :data:`_ROWS` at once."""
    ends = np.cumsum(weights, dtype=np.int64)
    start = 0
    while start < len(ends):
        reached = int(ends[start]) - int(weights[start]) + _ROWS
        stop = max(start + 1, int(np.searchsorted(ends, reached, side="right")))
        each = slice(start, stop)
        yield {key: np.repeat(values[each], weights[each]) for key, values in columns.items()}
        start = stop
