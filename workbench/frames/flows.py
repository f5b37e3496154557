"""TCP connections: how long, how many bytes, how fast, and what went wrong.

All functions work from the table ``tcp``: one row for each thing that happened to a connection,
with its counters at that moment; :func:`edges` and :func:`listeners` also from ``tcp_agg``, which
is counted in the kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.frames import flow_counts
from workbench.frames.flow_counts import AGGREGATED
from workbench.frames.needs import need, only_counted

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

EVENTS = "tcp"
_TEXTS = ("event", "state", "role", "family", "comm")
_ENDS = ("local_address", "local_port", "remote_address", "remote_port")
_COUNTERS = ("bytes_sent", "bytes_received", "bytes_retrans", "retransmits")
_COUNTED = ("retransmit", "reset_sent", "reset_received", "drop")
_NAMES = {"reset_sent": "resets_sent", "reset_received": "resets_received", "drop": "drops"}

_STEPS = ("connect", "accept")
_ORDER = (
    "start",
    "duration",
    "pid",
    "comm",
    "role",
    "family",
    *_ENDS,
    "end",
    "errno",
    *_STEPS,
    *_COUNTERS,
    *_NAMES.values(),
    "rtt_p50",
    "rtt_p99",
    "partial",
    "socket",
)


def _events(rec: Recording, *columns: str) -> pl.LazyFrame:
    """Return rows with texts as strings and durations as integers, in ns."""
    import polars as pl

    found = need(rec, EVENTS, *columns)
    texts = [name for name in _TEXTS if name in columns]
    times = [name for name in ("latency", "rtt") if name in columns]
    return found.with_columns(pl.col(texts).cast(pl.String), pl.col(times).cast(pl.Int64))


def connections(rec: Recording) -> pl.DataFrame:
    """Return one row per connection, in the order in which they began.

    Listening sockets are left out. A socket that connects again is another connection.

    Parameters
    ----------
    rec : Recording
        Needs ``tcp``.

    Returns
    -------
    polars.DataFrame
        start : datetime[ns, UTC]
        duration : duration[ns]
            To its end or, if it is open, to its last row.
        pid : u32
            Process that opened or, at last, accepted it.
        comm, role, family : str
        local_address, remote_address : str
        local_port, remote_port : u16
        end : str
            State in which it was left: ``close``, or that of an open connection.
        errno : u16
            0 if it ended without an error.
        connect, accept : duration[ns]
            Time from the SYN to the connection, and in the queue of the listener; null where the
            other side did it, or before the capture.
        bytes_sent, bytes_received, bytes_retrans : u64
        retransmits, resets_sent, resets_received, drops : u32
        rtt_p50, rtt_p99 : duration[ns]
            Of the smoothed round-trip times in the rows, null where there is none.
        partial : bool
            It was open before the capture saw it; its bytes count from its beginning all the same.

    Raises
    ------
    MissingTableError
        The session holds no TCP connections.
    """
    import polars as pl

    event, rtt = pl.col("event"), pl.col("rtt")
    known = rtt.filter(rtt > 0)
    columns = ("ts", "start", "socket", "latency", "rtt", "errno", "partial", "pid")
    rows = _events(rec, *columns, *_TEXTS, *_ENDS, *_COUNTERS).filter(pl.col("role") != "listener")
    whole = rows.sort("ts").group_by("socket", "start", maintain_order=True)
    last = pl.col("pid", "comm", "role", "family", "local_address", "remote_address", "errno")
    found = whole.agg(
        (pl.col("ts").max() - pl.col("start").first()).alias("duration"),
        last.last(),
        pl.col("local_port", "remote_port").max(),
        pl.when((event == "closed").any())
        .then(pl.lit("close"))
        .otherwise(pl.col("state").last())
        .alias("end"),
        *(pl.col("latency").filter(event == name).first().alias(name) for name in _STEPS),
        pl.col(*_COUNTERS).max(),
        *((event == name).sum().cast(pl.UInt32).alias(as_) for name, as_ in _NAMES.items()),
        known.quantile(0.5, interpolation="equiprobable").alias("rtt_p50"),
        known.quantile(0.99, interpolation="equiprobable").alias("rtt_p99"),
        (pl.col("partial").max() > 0).alias("partial"),
    )
    spans = pl.col("duration", *_STEPS, "rtt_p50", "rtt_p99").cast(pl.Int64)
    return found.with_columns(spans.cast(pl.Duration("ns"))).sort("start").select(_ORDER).collect()


def edges(rec: Recording) -> pl.DataFrame:
    """Return the flow graph: which process talks with which address and service.

    Parameters
    ----------
    rec : Recording
        Needs ``tcp`` or ``tcp_agg``.

    Returns
    -------
    polars.DataFrame
        comm, role : str
        remote_address : str
        port : u16
            Of the service: the remote one of clients, the local one of servers. Where the side is
            not known it is the lower of the two.
        connections, failed : u32
            ``failed`` ended with an error; from ``tcp_agg``: were asked for in vain.
        bytes_sent, bytes_received : u64
        retransmits : u32
        duration : duration[ns]
            Mean; from ``tcp_agg`` of those that ended.
        rtt : duration[ns]
            Median of the connections' medians; from ``tcp_agg`` that of all samples, interpolated
            within a power of two. Most bytes first.

    Raises
    ------
    MissingTableError
        The session holds no TCP connections.
    """
    if only_counted(rec, EVENTS, AGGREGATED):
        return flow_counts.edges(rec)
    return _edges(rec)


def _edges(rec: Recording) -> pl.DataFrame:
    import polars as pl

    local, remote = pl.col("local_port"), pl.col("remote_port")
    lower = pl.min_horizontal(local, remote)
    service = {"client": remote, "server": local}
    port = pl.lit(None, pl.UInt16)
    for role, value in service.items():
        port = pl.when(pl.col("role") == role).then(value).otherwise(port)
    keys = ("comm", "role", "remote_address", "port")
    carried = pl.col("bytes_sent") + pl.col("bytes_received")
    return (
        connections(rec)
        .with_columns(port.fill_null(lower).alias("port"))
        .group_by(keys)
        .agg(
            pl.len().alias("connections"),
            (pl.col("errno") > 0).sum().cast(pl.UInt32).alias("failed"),
            pl.col("bytes_sent", "bytes_received").sum(),
            pl.col("retransmits").sum().cast(pl.UInt32),
            pl.col("duration").mean(),
            pl.col("rtt_p50").median().alias("rtt"),
        )
        .sort(carried, *keys, descending=[True, False, False, False, False])
    )


def listeners(rec: Recording) -> pl.DataFrame:
    """Return the listening sockets, and what they dropped: connections, mostly.

    A listener drops a connection when its backlog is full, without a word to the one that wants it:
    who connects sends its SYN again, after a second.

    Parameters
    ----------
    rec : Recording
        Needs ``tcp`` or ``tcp_agg``.

    Returns
    -------
    polars.DataFrame
        comm : str
        pid : u32
        port : u16
        dropped : u32
            Since the socket listens; from ``tcp_agg`` during the capture. Most first.

    Raises
    ------
    MissingTableError
        The session holds no TCP connections.
    """
    import polars as pl

    if only_counted(rec, EVENTS, AGGREGATED):
        return flow_counts.listeners(rec)
    rows = _events(rec, "ts", "socket", "role", "comm", "pid", "local_port", "dropped")
    return (
        rows.filter(pl.col("role") == "listener")
        .sort("ts")
        .group_by("socket")
        .agg(pl.col("comm", "pid").last(), pl.col("local_port", "dropped").max())
        .group_by("comm", "pid", pl.col("local_port").alias("port"))
        .agg(pl.col("dropped").sum())
        .sort("dropped", "comm", "pid", "port", descending=[True, False, False, False])
        .collect()
    )


def troubles(rec: Recording) -> pl.DataFrame:
    """Return how often segments were sent again, reset or dropped, and why.

    Returns
    -------
    polars.DataFrame
        event : str
            ``retransmit``, ``reset_sent``, ``reset_received`` or ``drop``.
        reason : str
            The workbench's own for retransmits (see ``bpf/tcp.bpf.h``), else the kernel's.
        remote_address : str
        count : u32
        bytes : u64
            Of the segments. Most frequent first.

    Raises
    ------
    MissingTableError
        The session holds no TCP connections.
    """
    import polars as pl

    keys = ("event", "reason", "remote_address")
    return (
        _events(rec, *keys, "size")
        .filter(pl.col("event").is_in(_COUNTED))
        .group_by(keys)
        .agg(pl.len().alias("count"), pl.col("size").sum().alias("bytes"))
        .sort("count", *keys, descending=[True, False, False, False])
        .collect()
    )
