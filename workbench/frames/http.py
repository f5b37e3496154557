"""Plain HTTP/1: requests by method, path and status, and how long their answers took.

All functions work from the table ``http``: one row for each message; rows of answers have the
method and path of their request. ``role`` is ``client`` for requests that were sent and answers
that were received, ``server`` for the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.frames.needs import need
from workbench.frames.quantiles import quantile

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

EVENTS = "http"
_COLUMNS = ("message", "direction", "method", "path", "status", "latency")
_QUANTILES = {"p50": 0.50, "p90": 0.90, "p99": 0.99}
_TIMES = (*_QUANTILES, "max")


def _messages(rec: Recording, *more: str) -> pl.LazyFrame:
    """Return messages with ``role``; texts are strings, the latency is an integer, in ns."""
    import polars as pl

    asks = pl.col("message") == "request"
    mine = asks == (pl.col("direction") == "send")
    role = pl.when(mine).then(pl.lit("client")).otherwise(pl.lit("server"))
    texts = pl.col("message", "direction", "method").cast(pl.String)
    rows = need(rec, EVENTS, *_COLUMNS, *more).with_columns(texts, pl.col("latency").cast(pl.Int64))
    return rows.with_columns(role.alias("role"))


def _times() -> list[pl.Expr]:
    import polars as pl

    known = pl.col("latency").filter((pl.col("message") == "answer") & (pl.col("latency") > 0))
    found = [
        quantile(known, known, q, weighted=False).alias(name) for name, q in _QUANTILES.items()
    ]
    spans = [*found, known.max().alias("max")]
    return [span.cast(pl.Int64).cast(pl.Duration("ns")) for span in spans]


def by_status(rec: Recording) -> pl.DataFrame:
    """Return one row per role, method, path and status of answers.

    Parameters
    ----------
    rec : Recording
        Needs ``http``.

    Returns
    -------
    polars.DataFrame
        role, method, path : str
            ``none`` and empty where the request was not seen.
        status : u16
        answers : u32
        p50, p90, p99, max : duration[ns]
            From the request to the begin of its answer: values that occurred, null where no pair
            was seen. Most answers first.

    Raises
    ------
    MissingTableError
        The session holds no HTTP.
    """
    import polars as pl

    keys = ("role", "method", "path", "status")
    return (
        _messages(rec)
        .filter(pl.col("message") == "answer")
        .group_by(keys)
        .agg(pl.len().cast(pl.UInt32).alias("answers"), *_times())
        .sort("answers", *keys, descending=[True, *[False] * len(keys)])
        .collect()
    )


def by_path(rec: Recording) -> pl.DataFrame:
    """Return one row per role, method and path.

    Returns
    -------
    polars.DataFrame
        role, method, path : str
        requests, answers : u32
        unanswered : u32
            Requests for which no answer was seen, yet or at all.
        client_errors, server_errors : u32
            Answers with a status of 400 to 499, and from 500 on.
        p50, p90, p99, max : duration[ns]
            As in :func:`by_status`. Most requests first.

    Raises
    ------
    MissingTableError
        The session holds no HTTP.
    """
    import polars as pl

    keys = ("role", "method", "path")
    asks, answers = (pl.col("message") == kind for kind in ("request", "answer"))
    status = pl.col("status")
    counts = {
        "requests": asks,
        "answers": answers,
        "client_errors": answers & status.is_between(400, 499),
        "server_errors": answers & (status >= 500),
    }
    found = (
        _messages(rec)
        .group_by(keys)
        .agg(
            *(which.sum().cast(pl.UInt32).alias(name) for name, which in counts.items()), *_times()
        )
        .sort("requests", *keys, descending=[True, *[False] * len(keys)])
        .collect()
    )
    left = pl.col("requests").cast(pl.Int64) - pl.col("answers").cast(pl.Int64)
    return found.with_columns(left.clip(lower_bound=0).cast(pl.UInt32).alias("unanswered")).select(
        *keys, "requests", "answers", "unanswered", "client_errors", "server_errors", *_TIMES
    )
