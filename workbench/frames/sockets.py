"""What was sent and received on sockets: how much, how often, how long it took.

All functions work from the table ``sockets``: one row for each system call on a socket;
:func:`by_socket` also from ``sockets_agg``, which is counted in the kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.frames.needs import need, only_counted
from workbench.frames.quantiles import BUCKETS, histogram_columns, quantile

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

EVENTS = "sockets"
AGGREGATED = "sockets_agg"
_ENDS = ("local_address", "local_port", "remote_address", "remote_port")
_LAST = ("protocol", "family", "pid", "comm", *_ENDS)
_TEXTS = ("direction", "protocol", "family", "name", "comm")
_INPUT = ("latency", "bytes", "errno", "messages", "weight")


def _grouped(rec: Recording, *keys: str, last: tuple[str, ...] = ()) -> pl.DataFrame:
    """Return calls, errors, bytes and latencies for each key; most bytes first."""
    import polars as pl

    names = tuple(dict.fromkeys((*keys, *last, *_INPUT, "ts")))
    texts = [name for name in _TEXTS if name in names]
    weight, latency = pl.col("weight").cast(pl.Int64), pl.col("latency")
    rows = need(rec, EVENTS, *names).with_columns(
        pl.col(texts).cast(pl.String), latency.cast(pl.Int64)
    )
    weighted = not rows.select((pl.col("weight") == 1).all()).collect().item()
    found = (
        rows.sort("ts")
        .group_by(*keys)
        .agg(
            *(pl.col(name).last() for name in last),
            weight.sum().cast(pl.UInt64).alias("calls"),
            weight.filter(pl.col("errno").is_not_null()).sum().cast(pl.UInt64).alias("errors"),
            (pl.col("messages") * weight).sum().cast(pl.UInt64),
            (pl.col("bytes") * weight).sum().cast(pl.UInt64),
            (latency * weight).sum().alias("total"),
            *(
                quantile(latency, weight, q, weighted=weighted).alias(name)
                for name, q in (("p50", 0.5), ("p99", 0.99))
            ),
            latency.max().alias("max"),
        )
        .collect()
    )
    times = pl.col("total", "p50", "p99", "max").cast(pl.Int64).cast(pl.Duration("ns"))
    return found.with_columns(times).sort(
        "bytes", *keys, descending=[True, *[False] * len(keys)], nulls_last=True
    )


def _counted(rec: Recording, verb: str, past: str) -> pl.DataFrame:
    """Return the sums of one direction that were made in the kernel, as :func:`_grouped` does."""
    import polars as pl

    hist = f"{verb}_hist"
    sums = (f"{verb}s", f"{verb}_errors", f"bytes_{past}", f"{verb}_sum", hist)
    rows = (
        need(rec, AGGREGATED, "ts", "inode", *_LAST, *sums)
        .sort("ts", maintain_order=True)  # snapshots are cumulative: the last one counts
        .unique("inode", keep="last", maintain_order=True)
        .filter(pl.col(f"{verb}s") > 0)
        .collect()
    )
    counts = rows[hist].explode(empty_as_null=False).to_numpy().reshape(-1, BUCKETS)
    found = rows.select(
        "inode",
        pl.lit(verb).alias("direction"),
        pl.col(_LAST),
        pl.col(f"{verb}s").alias("calls"),
        pl.col(f"{verb}_errors").alias("errors"),
        pl.lit(None, pl.UInt64).alias("messages"),
        pl.col(f"bytes_{past}").alias("bytes"),
        pl.col(f"{verb}_sum").alias("total"),
    )
    texts = [name for name in _TEXTS if name in found.columns]
    quantiles = [each.cast(pl.Int64) for each in histogram_columns(counts)]
    times = pl.col("total", "p50", "p99", "max").cast(pl.Duration("ns"))
    return found.with_columns(
        pl.col(texts).cast(pl.String), *quantiles, pl.lit(None, pl.Int64).alias("max")
    ).with_columns(times)


def by_socket(rec: Recording) -> pl.DataFrame:
    """Return one row per socket and direction, most bytes first.

    Parameters
    ----------
    rec : Recording
        Needs ``sockets`` or ``sockets_agg``.

    Returns
    -------
    polars.DataFrame
        inode : u64
        direction : str
            ``send`` or ``receive``.
        protocol, family : str
        pid : u32
            The last one that used it.
        comm : str
        local_address, remote_address : str
        local_port, remote_port : u16
            Of the last call; see :func:`by_peer` for sockets that talk with several.
        calls, errors, messages, bytes : u64
        total, p50, p99, max : duration[ns]
            Of the latencies of the calls. Quantiles are values that occurred. From ``sockets_agg``
        they are interpolated within a log2 bucket (off by less than a factor of two), and
        ``messages`` and ``max`` are null.

    Raises
    ------
    MissingTableError
        The session holds no calls on sockets.
    """
    import polars as pl

    if not only_counted(rec, EVENTS, AGGREGATED):
        return _grouped(rec, "inode", "direction", last=_LAST)
    both = pl.concat([_counted(rec, "send", "sent"), _counted(rec, "receive", "received")])
    return both.sort("bytes", "inode", "direction", descending=[True, False, False])


def by_peer(rec: Recording) -> pl.DataFrame:
    """Return one row per thread name, protocol, other side and direction.

    Returns
    -------
    polars.DataFrame
        comm, protocol, direction, remote_address : str
        remote_port : u16
            Then as in :func:`by_socket`, from ``calls`` on.

    Raises
    ------
    MissingTableError
        The session holds no calls on sockets.
    """
    return _grouped(rec, "comm", "protocol", "direction", "remote_address", "remote_port")


def by_call(rec: Recording) -> pl.DataFrame:
    """Return one row per system call and protocol: name, protocol, direction, then as above.

    Raises
    ------
    MissingTableError
        The session holds no calls on sockets.
    """
    return _grouped(rec, "name", "protocol", "direction")


def sizes(rec: Recording) -> pl.DataFrame:
    """Return log2 histograms of the bytes of the calls.

    Returns
    -------
    polars.DataFrame
        protocol, direction : str
        low, high : u64
            The bucket holds calls of [low, high) bytes; the first one, [0, 1), those without data.
        calls : u64
            Sorted by protocol, direction and size; empty buckets are left out.

    Raises
    ------
    MissingTableError
        The session holds no calls on sockets.
    """
    import polars as pl

    keys = ("protocol", "direction")
    size, one = pl.col("bytes"), pl.lit(1, pl.UInt64)
    # The highest bit that is set, exactly: 2^i <= bytes < 2^(i+1).
    top = (size.bitwise_leading_zeros().cast(pl.Int64) * -1 + 63).clip(lower_bound=0)
    low = pl.when(size == 0).then(0).otherwise(pl.lit(2, pl.UInt64).pow(top).cast(pl.UInt64))
    return (
        need(rec, EVENTS, *keys, "bytes", "weight")
        .with_columns(pl.col(keys).cast(pl.String), low.cast(pl.UInt64).alias("low"))
        .group_by(*keys, "low")
        .agg(pl.col("weight").cast(pl.UInt64).sum().alias("calls"))
        .with_columns(pl.max_horizontal(one, pl.col("low") * 2).alias("high"))
        .select(*keys, "low", "high", "calls")
        .sort(*keys, "low")
        .collect()
    )
