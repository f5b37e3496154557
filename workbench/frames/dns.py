"""DNS: names that were looked up, how it went, how long it took.

All functions work from the table ``dns``: one row for each message. Names are compared without
regard to case (RFC 4343). ``role`` is ``client`` for queries that were sent and answers that were
received, ``server`` for the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.frames.needs import need
from workbench.frames.quantiles import quantile

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

EVENTS = "dns"
_COLUMNS = ("message", "direction", "qname", "qtype", "rcode", "latency", "truncated", "answers")
_GOOD = "noerror"
_MISSING = "nxdomain"


def _grouped(rec: Recording, *keys: str, more: tuple[str, ...] = ()) -> pl.DataFrame:
    """Return counts and latencies for each key; most queries first."""
    import polars as pl

    texts = pl.col("message", "direction", "rcode", "qname").cast(pl.String)
    rows = need(rec, EVENTS, *_COLUMNS, *more).with_columns(texts)
    asks = pl.col("message") == "query"
    answers, rcode, latency = pl.col("message") == "answer", pl.col("rcode"), pl.col("latency")
    mine = asks == (pl.col("direction") == "send")
    known = latency.filter(answers & (latency > 0))
    found = (
        rows.with_columns(
            pl.when(mine).then(pl.lit("client")).otherwise(pl.lit("server")).alias("role"),
            pl.col("qname").str.to_lowercase(),
            latency.cast(pl.Int64),
        )
        .group_by(*keys)
        .agg(
            asks.sum().cast(pl.UInt32).alias("queries"),
            answers.sum().cast(pl.UInt32).alias("answers"),
            (answers & (rcode == _MISSING)).sum().cast(pl.UInt32).alias("nxdomain"),
            (answers & ~rcode.is_in([_GOOD, _MISSING])).sum().cast(pl.UInt32).alias("failed"),
            (answers & (rcode == _GOOD) & (pl.col("answers") == 0))
            .sum().cast(pl.UInt32).alias("empty"),
            *(
                quantile(known, known, q, weighted=False).alias(name)
                for name, q in (("p50", 0.5), ("p99", 0.99))
            ),
            known.max().alias("max"),
        )
        .collect()
    )  # fmt: skip
    times = pl.col("p50", "p99", "max").cast(pl.Int64).cast(pl.Duration("ns"))
    return found.with_columns(times).sort("queries", *keys, descending=[True, *[False] * len(keys)])


def by_name(rec: Recording) -> pl.DataFrame:
    """Return one row per role, name and type.

    Parameters
    ----------
    rec : Recording
        Needs ``dns``.

    Returns
    -------
    polars.DataFrame
        role, qname, qtype : str
            The name in lower case.
        queries, answers : u32
            Of messages: a query that is sent again counts again.
        nxdomain, failed, empty : u32
            Answers that say that there is no such name, that say another error, and that hold no
            record of the type.
        p50, p99, max : duration[ns]
            From the query to its answer; values that occurred, null where no pair was seen. Most
            queries first.

    Raises
    ------
    MissingTableError
        The session holds no DNS messages.
    """
    return _grouped(rec, "role", "qname", "qtype")


def by_server(rec: Recording) -> pl.DataFrame:
    """Return one row per role and other side: role, remote_address, then as :func:`by_name`.

    Raises
    ------
    MissingTableError
        The session holds no DNS messages.
    """
    return _grouped(rec, "role", "remote_address", more=("remote_address",))
