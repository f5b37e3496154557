"""The page cache: what reads found in memory, what came from the disk, what was written back.

All functions work from the table ``pagecache`` (one row per run of pages) and, where the question
can be answered from sums, from ``pagecache_agg`` (summed in the kernel). When a session holds both,
the single rows are used. Figures are pages.

A *miss* is a page that was added to the cache without being made dirty at once: it came from the
disk, for a read, ahead of one, or for a fault. *Hits* are the pages that reads looked up, less the
misses. So reading a file twice from the beginning to the end makes each page a miss and then a hit,
however far the kernel reads ahead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import ParameterError
from workbench.event_texts import CACHE_OPS
from workbench.frames.counted import last_rows
from workbench.frames.needs import need, only_counted
from workbench.frames.processes import with_comm
from workbench.frames.slices import sliced

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from workbench.recording import Recording

EVENTS, AGGREGATED = "pagecache", "pagecache_agg"
SUMS = ("looked_up", "faulted", "mapped", "added", "removed", "dirtied", "written")
"""Columns of sums, in the order of :data:`workbench.event_texts.CACHE_OPS`."""
CREATED = "created"


def by_file(rec: Recording) -> pl.DataFrame:
    """Return one row per path.

    Parameters
    ----------
    rec : Recording
        Needs ``pagecache`` (path, op, pages, fresh) or ``pagecache_agg``.

    Returns
    -------
    polars.DataFrame
        path : str
        looked_up, hits, misses : u64
            Pages: of reads, found in memory, from the disk. Hits are never less than 0, though
            more may be read ahead than is ever asked for.
        hit_ratio : f64
            hits / looked_up; null where nothing was looked up, and on kernels that do not tell
            (before Linux 6.10).
        faulted, mapped, added, removed, dirtied, written, created : u64
            Pages; see the columns of ``pagecache_agg``. Most pages looked up or added first, ties
            by path.

    Raises
    ------
    MissingTableError
        The session holds nothing of the page cache.
    """
    return _grouped(rec, ("path",))


def by_process(rec: Recording) -> pl.DataFrame:
    """Return one row per process: pid, comm (one of its names), then as :func:`by_file`.

    Raises
    ------
    MissingTableError
        The session holds nothing of the page cache.
    """
    table = AGGREGATED if only_counted(rec, EVENTS, AGGREGATED) else EVENTS
    return with_comm(rec, table, _grouped(rec, ("pid",)))


def over_time(rec: Recording, slices: int = 120) -> pl.DataFrame:
    """Return pages per slice of time and operation.

    Returns
    -------
    polars.DataFrame
        ts : datetime[ns, UTC]
            Start of the slice; those in which nothing happened are left out.
        op : str
            See :data:`workbench.event_texts.CACHE_OPS`.
        pages : u64

    Raises
    ------
    MissingTableError
        The session holds no single rows (sums from the kernel have no times).
    ParameterError
        ``slices`` is not positive.
    """
    import polars as pl

    events = need(rec, EVENTS, "ts", "op", "pages").with_columns(pl.col("op").cast(pl.String))
    return sliced(events, slices, [pl.col("pages").cast(pl.UInt64).sum()], ["op"])


def places(
    rec: Recording, path: str, op: str = "add", slices: int = 120, parts: int = 64
) -> pl.DataFrame:
    """Return where in a file something happened, over time: a heatmap of its pages.

    Parameters
    ----------
    rec : Recording
        Needs ``pagecache`` (ts, path, op, index, pages).
    path : str
    op : str
        See :data:`workbench.event_texts.CACHE_OPS`.
    slices : int
        Number of slices of time.
    parts : int
        Number of parts of equal length, at most, from the start of the file to the last page.

    Returns
    -------
    polars.DataFrame
        ts : datetime[ns, UTC]
            Start of the slice.
        first_page, last_page : u64
            The part. A run of pages counts where it begins.
        pages : u64
            Cells in which nothing happened are left out.

    Raises
    ------
    MissingTableError
        The session holds no single rows.
    ParameterError
        There is no such operation, or a number is not positive.
    """
    import polars as pl

    if op not in CACHE_OPS or parts < 1:
        raise ParameterError(
            f"There are no places of {op!r} in {parts} parts.", why=f"There are {CACHE_OPS}."
        )
    chosen = (pl.col("path").cast(pl.String) == path) & (pl.col("op").cast(pl.String) == op)
    events = need(rec, EVENTS, "ts", "path", "op", "index", "pages").filter(chosen)
    length = events.select((pl.col("index") + pl.col("pages")).max()).collect().item() or 1
    width = -(-length // parts)
    first = (pl.col("index") // width * width).alias("first_page")
    cells = sliced(
        events.with_columns(first),
        slices,
        [pl.col("pages").cast(pl.UInt64).sum()],
        ["first_page"],
    )
    last = (pl.col("first_page") + (width - 1)).alias("last_page")
    return cells.select("ts", "first_page", last, "pages")


def _grouped(rec: Recording, by: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    counted = only_counted(rec, EVENTS, AGGREGATED)
    found = _from_sums(rec, by) if counted else _from_events(rec, by)
    looked, added, created = (pl.col(c).cast(pl.Int64) for c in ("looked_up", "added", CREATED))
    # The cache may drop pages between adding them and making them dirty: never below 0.
    misses = (added - created).clip(lower_bound=0)
    hits = (looked - misses).clip(lower_bound=0)
    orders = [True, *[False] * len(by)]
    return (
        found.with_columns(misses.alias("misses"), hits.alias("hits"))
        .sort(looked + added, *by, descending=orders)
        .select(
            *by,
            pl.col("looked_up", "hits", "misses").cast(pl.UInt64),
            pl.when(looked > 0).then(pl.col("hits") / looked).alias("hit_ratio"),
            pl.col(*SUMS[1:], CREATED).cast(pl.UInt64),
        )
    )


def _from_events(rec: Recording, by: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    texts = [name for name in ("path", "op") if name in (*by, "op")]
    pages = pl.col("pages").cast(pl.UInt64)
    return (
        need(rec, EVENTS, *by, "op", "pages", "fresh")
        .with_columns(pl.col(texts).cast(pl.String))
        .group_by(*by)
        .agg(
            *(
                pages.filter(pl.col("op") == op).sum().alias(name)
                for op, name in zip(CACHE_OPS, SUMS, strict=True)
            ),
            pages.filter(pl.col("fresh") == 1).sum().alias(CREATED),
        )
        .collect()
    )


def _from_sums(rec: Recording, by: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    rows = last_rows(rec, AGGREGATED, ("pid", "path_id"), ["path", *SUMS, CREATED])
    return (
        rows.with_columns(pl.col("path").cast(pl.String))
        .group_by(*by)
        .agg(pl.col(*SUMS, CREATED).sum())
    )
