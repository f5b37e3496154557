"""CSV: a table as text, for spreadsheets. Lists become texts such as ``[1, 2]``."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from workbench.formats.format import Format, all_tables

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

TIME = "%Y-%m-%dT%H:%M:%S%.9fZ"


def write(rec: Recording, file: IO[bytes], table: str | None) -> None:
    """Write one table: times in UTC with nanoseconds, durations in ns, nothing for null."""
    import polars as pl

    chosen = rec[table] if table else rec.events
    header = True
    for batch in chosen.batches():
        _plain(pl.DataFrame(batch)).write_csv(file, include_header=header, datetime_format=TIME)
        header = False
    if header:
        _plain(pl.DataFrame(chosen.schema.empty_table())).write_csv(file)


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame of numbers, times and texts."""
    import polars as pl
    from polars import selectors as cs

    lists = [name for name, kind in frame.schema.items() if isinstance(kind, pl.List | pl.Array)]
    texts = [
        pl.format(
            "[{}]", pl.col(name).cast(pl.List(pl.String), strict=False).list.join(", ")
        ).alias(name)
        for name in lists
    ]
    return frame.with_columns(cs.duration().cast(pl.Int64), *texts)


FORMAT = Format(
    "csv",
    ".csv",
    "one table as text: spreadsheets, any program",
    write,
    tables=all_tables,
)
