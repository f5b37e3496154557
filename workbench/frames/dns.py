"""DNS: names that were looked up, how it went, how long it took.

All functions work from the table ``dns``, one row for each message, or from ``dns_agg``, which is
counted in the kernel. Names are compared without regard to case (RFC 4343). ``role`` is ``client``
for queries that were sent and answers that were received, ``server`` for the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.frames.counted import last_rows, spans
from workbench.frames.needs import need, only_counted
from workbench.frames.quantiles import quantile
from workbench.network_names import DNS_CODES
from workbench.store.columns import KEYS

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

EVENTS, AGGREGATED = "dns", "dns_agg"
_COLUMNS = ("message", "direction", "qname", "qtype", "rcode", "latency", "answers")
_TEXTS = ("role", "qname", "qtype", "remote_address")
_GOOD, _MISSING = "noerror", "nxdomain"
_SUMS = ("queries", "answers", "answered", "nxdomain", "failed", "empty")
_QUANTILES = {"p50": 0.50, "p99": 0.99}
_ORDER = ("queries", "answers", "unanswered", *_SUMS[3:], *_QUANTILES, "max")


def _messages(rec: Recording) -> pl.LazyFrame:
    """Return a row per message: :data:`_SUMS` as 0 and 1, the latency as an integer, in ns."""
    import polars as pl

    texts = pl.col("message", "direction", "rcode", "qname").cast(pl.String)
    rows = need(rec, EVENTS, *_COLUMNS, "remote_address").with_columns(texts)
    asks, answers = (pl.col("message") == kind for kind in ("query", "answer"))
    rcode, latency = pl.col("rcode"), pl.col("latency").cast(pl.Int64)
    mine = asks == (pl.col("direction") == "send")
    found = {
        "queries": asks,
        "answered": answers & (latency > 0),
        "nxdomain": answers & (rcode == _MISSING),
        "failed": answers & ~rcode.is_in([_GOOD, _MISSING]),
        "empty": answers & (rcode == _GOOD) & (pl.col("answers") == 0),
        "answers": answers,
    }
    return rows.select(
        pl.when(mine).then(pl.lit("client")).otherwise(pl.lit("server")).alias("role"),
        pl.col("qname").str.to_lowercase(),
        "qtype",
        "remote_address",
        latency,
        *(which.cast(pl.UInt32).alias(name) for name, which in found.items()),
    )


def _counts(rec: Recording) -> pl.DataFrame:
    """Return the counts that were made in the kernel, with :data:`_SUMS`."""
    import polars as pl

    columns = (*_SUMS[:3], "empty", "rcodes", "latency_max", "latency_hist")
    codes = pl.col("rcodes").arr
    good, missing = (codes.get(DNS_CODES.index(code)) for code in (_GOOD, _MISSING))
    return last_rows(rec, AGGREGATED, KEYS[AGGREGATED], columns).with_columns(
        pl.col(_TEXTS).cast(pl.String),
        missing.alias("nxdomain"),
        (codes.sum() - good - missing).alias("failed"),
    )


def _grouped(rec: Recording, *keys: str) -> pl.DataFrame:
    """Return counts and latencies for each key; most queries first."""
    import polars as pl

    sums = pl.col(_SUMS).sum().cast(pl.UInt32)
    if only_counted(rec, EVENTS, AGGREGATED):
        rows = _counts(rec)
        times = spans(rows, keys, "latency", _QUANTILES)
        found = rows.group_by(*keys).agg(sums).join(times, on=list(keys))
    else:
        known = pl.col("latency").filter(pl.col("answered") > 0)
        spread = [
            quantile(known, known, q, weighted=False).alias(name) for name, q in _QUANTILES.items()
        ]
        highest = known.max().alias("max")
        found = _messages(rec).group_by(*keys).agg(sums, *spread, highest).collect()
    left = pl.col("queries").cast(pl.Int64) - pl.col("answered").cast(pl.Int64)
    return (
        found.with_columns(
            left.clip(lower_bound=0).cast(pl.UInt32).alias("unanswered"),
            pl.col(*_QUANTILES, "max").cast(pl.Int64).cast(pl.Duration("ns")),
        )
        .select(*keys, *_ORDER)
        .sort("queries", *keys, descending=[True, *[False] * len(keys)])
    )


def by_name(rec: Recording) -> pl.DataFrame:
    """Return one row per role, name and type.

    Parameters
    ----------
    rec : Recording
        Needs ``dns`` or ``dns_agg``.

    Returns
    -------
    polars.DataFrame
        role, qname, qtype : str
            The name in lower case.
        queries, answers : u32
            Of messages: a query that is sent again counts again.
        unanswered : u32
            Queries whose answer was not seen, yet or at all.
        nxdomain, failed, empty : u32
            Answers that say that there is no such name, that say another error, and that hold no
            record of the type.
        p50, p99, max : duration[ns]
            From the query to its answer; values that occurred, null where no pair was seen. From
            ``dns_agg`` quantiles are interpolated within a log2 bucket (off by less than a factor
            of two). Most queries first.

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
    return _grouped(rec, "role", "remote_address")
