"""The user's own probes: what each saw, whatever its columns are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.frames import durations
from workbench.frames.needs import need
from workbench.frames.quantiles import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from workbench.recording import Recording

_HEAD = ("ts", "unreadable")


def names(rec: Recording) -> list[str]:
    """Return the names of the probes' tables, in the order of the recording."""
    return [name for name in rec.tables if "probe" in rec.manifest.kinds.get(name, {})]


def counted(rec: Recording, name: str) -> bool:
    """Return whether a probe counted in the kernel, instead of sending events."""
    return bool(rec.manifest.kinds.get(name, {}).get("aggregate"))


def describe(rec: Recording, name: str) -> str:
    """Return where a probe was and what it let through, for people."""
    given = rec.manifest.kinds.get(name, {})
    parts = [
        ("", given.get("probe")),
        ("where ", given.get("filter")),
        ("", _listed(given.get("aggregate"))),
        ("by ", _listed(given.get("by"))),
    ]
    return ", ".join(f"{word}{text}" for word, text in parts if text)


def _listed(texts: Sequence[str] | None) -> str:
    return ", ".join(texts or ())


def totals(rec: Recording, name: str) -> pl.DataFrame:
    """Return what a probe counted in the kernel: its last snapshot, which is cumulative.

    Parameters
    ----------
    rec : Recording
        Needs the probe's table.
    name : str
        Of the probe, made with ``aggregate``.

    Returns
    -------
    polars.DataFrame
        The columns of ``by``, then the figures; ``unreadable`` only where it is not 0. Most of the
        first figure first, ties in the order in which the kernel gave them.

    Raises
    ------
    MissingTableError
        The session has no such table.
    """
    import polars as pl

    rows = need(rec, name, *_columns(rec, name)).collect()
    last = rows.filter(pl.col("ts") == pl.col("ts").max())
    unreadable = "unreadable" in rows.columns and bool((last["unreadable"] > 0).any())
    found = last.drop("ts") if unreadable else last.drop(_HEAD, strict=False)
    figures = [column for column, kind in found.schema.items() if kind.is_numeric()]
    by = len(rec.manifest.kinds.get(name, {}).get("by") or ())
    first = [column for column in figures if found.columns.index(column) >= by][:1]
    return found.sort(first, descending=True, nulls_last=True, maintain_order=True)


def histogram(rec: Recording, name: str, of: str) -> pl.DataFrame:
    """Return a histogram that a probe made in the kernel, summed over its groups.

    Parameters
    ----------
    rec : Recording
        Needs the probe's table.
    name : str
        Of the probe, made with ``aggregate="hist(...)"``.
    of : str
        What stands between the parentheses.

    Returns
    -------
    polars.DataFrame
        low, high : u64
            The bucket holds values in [low, high): contiguous powers of two. Of ``latency`` they
            are named ``low_ns`` and ``high_ns``.
        events : u64

    Raises
    ------
    MissingTableError
        The session has no such table, or that no such column.
    """
    import numpy as np

    column = f"hist_{of}"
    need(rec, name, column)
    counts = totals(rec, name)[column].to_numpy().reshape(-1, BUCKETS).astype(np.int64)
    found = durations.histogram(counts.sum(axis=0), "events")
    return found if of == "latency" else found.rename({"low_ns": "low", "high_ns": "high"})


def events(rec: Recording, name: str, first: int | None = None) -> pl.DataFrame:
    """Return the events of a table in the order in which they happened.

    Stacks are left out, and ``weight`` where all rows stand for one event.

    Parameters
    ----------
    rec : Recording
        Needs the table.
    name : str
        Of a probe, or of a kind.
    first : int, optional
        Only so many, which needs no memory for the others.

    Returns
    -------
    polars.DataFrame

    Raises
    ------
    MissingTableError
        The session has no such table.
    """
    import polars as pl

    columns = [column for column in _columns(rec, name) if "stack" not in column]
    rows = need(rec, name, *columns)
    if "weight" in columns and rows.select((pl.col("weight") == 1).all()).collect().item():
        rows = rows.drop("weight")
    if "ts" not in columns:
        return (rows if first is None else rows.head(first)).collect()
    if first is None:
        return rows.sort("ts", maintain_order=True).collect()
    return rows.bottom_k(first, by="ts").sort("ts").collect()


def _columns(rec: Recording, name: str) -> list[str]:
    return list(rec[name].schema.names) if name in rec.tables else ["ts"]
