"""Plain HTTP/1: requests by method, path and status, and how long their answers took.

All functions work from the table ``http``, one row for each message, or from ``http_agg``, which is
counted in the kernel; rows of answers have the method and path of their request. ``role`` is
``client`` for requests that were sent and answers that were received, ``server`` for the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.frames.counted import last_rows, spans
from workbench.frames.needs import need, only_counted
from workbench.frames.quantiles import quantile
from workbench.store.columns import KEYS

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

EVENTS, AGGREGATED = "http", "http_agg"
_ENDS = ("remote_address", "local_port", "remote_port")
_COLUMNS = ("message", "direction", "method", "path", "status", "latency", *_ENDS)
_TEXTS = ("role", "method", "path", "remote_address")
_QUANTILES = {"p50": 0.50, "p90": 0.90, "p99": 0.99}
_TIMES = (*_QUANTILES, "max")
_ERRORS = ("client_errors", "server_errors")


def _messages(rec: Recording) -> pl.LazyFrame:
    """Return a row per message, ``requests`` and ``answers`` as 0 and 1, the latency in ns."""
    import polars as pl

    texts = pl.col("message", "direction", "method").cast(pl.String)
    asks, answers = (pl.col("message") == kind for kind in ("request", "answer"))
    mine = asks == (pl.col("direction") == "send")
    port = pl.when(mine).then(pl.col("remote_port")).otherwise(pl.col("local_port"))
    return (
        need(rec, EVENTS, *_COLUMNS)
        .with_columns(texts, pl.col("latency").cast(pl.Int64))
        .with_columns(
            pl.when(mine).then(pl.lit("client")).otherwise(pl.lit("server")).alias("role"),
            port.alias("port"),
            asks.cast(pl.UInt32).alias("requests"),
            answers.cast(pl.UInt32).alias("answers"),
        )
    )


def _counts(rec: Recording) -> pl.DataFrame:
    """Return the counts that were made in the kernel."""
    import polars as pl

    columns = ("requests", "answers", "latency_max", "latency_hist")
    rows = last_rows(rec, AGGREGATED, KEYS[AGGREGATED], columns)
    return rows.with_columns(pl.col(_TEXTS).cast(pl.String))


def _grouped(rec: Recording, *keys: str, first: str) -> pl.DataFrame:
    """Return counts and latencies for each key; those with most of ``first`` come first."""
    import polars as pl

    status, answers = pl.col("status"), pl.col("answers")
    sums = [
        pl.col("requests").sum(),
        answers.sum(),
        answers.filter(status.is_between(400, 499)).sum().alias("client_errors"),
        answers.filter(status >= 500).sum().alias("server_errors"),
    ]
    if only_counted(rec, EVENTS, AGGREGATED):
        rows = _counts(rec)
        found = rows.group_by(*keys).agg(sums).join(
            spans(rows, keys, "latency", _QUANTILES), on=list(keys)
        )  # fmt: skip
    else:
        known = pl.col("latency").filter((answers > 0) & (pl.col("latency") > 0))
        spread = [
            quantile(known, known, q, weighted=False).alias(name) for name, q in _QUANTILES.items()
        ]
        highest = known.max().alias("max")
        found = _messages(rec).group_by(*keys).agg(*sums, *spread, highest).collect()
    left = pl.col("requests").cast(pl.Int64) - answers.cast(pl.Int64)
    return found.with_columns(
        pl.col("requests", "answers", *_ERRORS).cast(pl.UInt32),
        left.clip(lower_bound=0).cast(pl.UInt32).alias("unanswered"),
        pl.col(_TIMES).cast(pl.Int64).cast(pl.Duration("ns")),
    ).sort(first, *keys, descending=[True, *[False] * len(keys)])


def by_status(rec: Recording) -> pl.DataFrame:
    """Return one row per role, method, path and status of answers.

    Parameters
    ----------
    rec : Recording
        Needs ``http`` or ``http_agg``.

    Returns
    -------
    polars.DataFrame
        role, method, path : str
            ``none`` and empty where the request was not seen.
        status : u16
        answers : u32
        p50, p90, p99, max : duration[ns]
            From the request to the begin of its answer: values that occurred, null where no pair
            was seen. From ``http_agg`` quantiles are interpolated within a log2 bucket (off by less
            than a factor of two). Most answers first.

    Raises
    ------
    MissingTableError
        The session holds no HTTP.
    """
    import polars as pl

    keys = ("role", "method", "path", "status")
    found = _grouped(rec, *keys, first="answers").filter(pl.col("answers") > 0)
    return found.select(*keys, "answers", *_TIMES)


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
    return _whole(rec, "role", "method", "path")


def by_peer(rec: Recording) -> pl.DataFrame:
    """Return one row per role, other side and service.

    Returns
    -------
    polars.DataFrame
        role, remote_address : str
        port : u16
            Of the service: the remote one of clients, the local one of servers. Then as
            :func:`by_path`, from ``requests`` on.

    Raises
    ------
    MissingTableError
        The session holds no HTTP.
    """
    return _whole(rec, "role", "remote_address", "port")


def _whole(rec: Recording, *keys: str) -> pl.DataFrame:
    found = _grouped(rec, *keys, first="requests")
    return found.select(*keys, "requests", "answers", "unanswered", *_ERRORS, *_TIMES)
