"""Histograms that were counted in the kernel, as metrics: not one count is moved or split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.formats.otlp.lives import integers
from workbench.formats.otlp.metrics import points
from workbench.formats.otlp.metrics.buckets import KERNEL_ZERO, kernel_buckets
from workbench.formats.otlp.metrics.metric import Metric, series_attributes
from workbench.frames.needs import has

if TYPE_CHECKING:
    from workbench.formats.otlp.lives import People
    from workbench.recording import Recording

_PID = {"pid": "process.pid"}
_SERVICE = _PID | {
    "role": "workbench.tcp.role",
    "port": "server.port",
    "remote_address": "network.peer.address",
}


@dataclass(frozen=True)
class Counted:
    """A histogram that was counted in the kernel, of a table that ends in ``_agg``.

    Parameters
    ----------
    table, name, meaning : str
        Times in ns.
    histogram, sum : str
        Columns with 64 counts by powers of two, and with the sum of the times, if there is one.
    by : mapping of str to str
        Columns that tell series apart, and their attributes.
    """

    table: str
    name: str
    meaning: str
    histogram: str
    sum: str
    by: Mapping[str, str]


COUNTED = (
    Counted(
        "syscalls_agg",
        "workbench.syscall.duration",
        "time in system calls",
        "latency_hist",
        "latency_sum",
        _PID | {"nr": "workbench.syscall.number", "name": "workbench.syscall.name"},
    ),
    Counted(
        "sched_agg",
        "workbench.run_queue.duration",
        "time that threads waited for a CPU",
        "latency_hist",
        "latency_sum",
        _PID | {"tid": "thread.id"},
    ),
    Counted(
        "locks_agg",
        "workbench.lock.wait.duration",
        "time that threads waited for locks",
        "waited_hist",
        "waited_sum",
        _PID | {"lock": "workbench.lock.address", "type": "workbench.lock.type"},
    ),
    Counted(
        "block_agg",
        "workbench.block.service.duration",
        "time that disks took for requests",
        "service_hist",
        "service_sum",
        _PID
        | {
            "device": "system.device",
            "op": "workbench.block.operation",
            "size_class": "workbench.block.size_class",
        },
    ),
    *(
        Counted(
            "files_agg",
            f"workbench.file.{op}.duration",
            f"time in calls that {op}",
            f"{op}_hist",
            f"{op}_sum",
            _PID | {"path_id": "workbench.file.id", "path": "file.path"},
        )
        for op in ("read", "write", "sync")
    ),
    *(
        Counted(
            "sockets_agg",
            f"workbench.socket.{way}.duration",
            f"time in calls that {way}",
            f"{way}_hist",
            f"{way}_sum",
            _PID | {"inode": "workbench.socket.inode", "protocol": "network.transport"},
        )
        for way in ("send", "receive")
    ),
    Counted(
        "irq_agg",
        "workbench.interrupt.duration",
        "time in interrupts",
        "duration_hist",
        "duration_sum",
        _PID
        | {
            "cpu": "cpu.logical_number",
            "type": "workbench.interrupt.type",
            "irq": "workbench.interrupt.number",
        },
    ),
    *(
        Counted(
            "tcp_agg",
            f"workbench.tcp.{name}.duration",
            meaning,
            f"{step}_hist",
            f"{step}_sum",
            _PID
            | {
                "role": "workbench.tcp.role",
                "port": "server.port",
                "remote_address": "network.peer.address",
            },
        )
        for step, name, meaning in (
            ("connect", "connect", "time from the SYN to the connection"),
            ("accept", "accept", "time in the queue of the listener"),
            ("duration", "connection", "lives of connections"),
        )
    ),
)
"""Of tables that are counted in the kernel; sums of counts beside them are in the histogram."""


def counted_metrics(rec: Recording, people: People) -> Iterator[Metric]:
    """Yield the histograms that were counted in the kernel.

    They are of the whole recording, so there are none of a window of it.
    """
    if not rec.selection.window:
        for counted in COUNTED:
            if has(rec, counted.table):
                yield from _of_counts(rec, people, counted)


def _of_counts(rec: Recording, people: People, counted: Counted) -> Iterator[Metric]:
    """Yield a histogram that was counted in the kernel: the last row of each key is the sum."""
    import polars as pl
    from polars import selectors as cs

    table = rec[counted.table]
    names = table.schema.names
    if not {counted.histogram, "ts"} <= {*names}:
        return
    by = {name: key for name, key in counted.by.items() if name in names}
    more = [name for name in (counted.sum, "ts", counted.histogram) if name in names]
    rows = (
        table.lazy()
        .select(*by, *more)
        .with_columns((cs.categorical() | cs.enum()).cast(pl.String))
        .sort("ts", maintain_order=True)
        .unique(list(by), keep="last", maintain_order=True)
        .collect()
    )
    if "lock" in by:
        shown = [hex(each) for each in rows["lock"].to_list()]
        rows = rows.with_columns(pl.Series("lock", shown, pl.String))
    flat = rows[counted.histogram].explode(empty_as_null=False).to_numpy().astype(np.int64)
    zeros, buckets = kernel_buckets(flat.reshape(-1, 64))
    count = zeros + buckets.sum(axis=1)
    keep = count > 0
    if not keep.any():
        return
    rows, zeros, buckets, count = rows.filter(keep), zeros[keep], buckets[keep], count[keep]
    total = integers(rows, counted.sum) if counted.sum in names else np.zeros(len(count))
    found = points.Distribution(
        start=np.full(len(count), people.start),
        time=integers(rows, "ts"),
        count=count,
        sum=total.astype(np.float64),
        scale=np.zeros(len(count), np.int64),
        zeros=zeros,
        positive=points.Buckets(np.ones(len(count), np.int64), buckets),
        threshold=KERNEL_ZERO,
    )
    made = found.encoded(series_attributes(points.HISTOGRAM_ATTRIBUTE, rows, by))
    yield Metric(counted.name, "ns", counted.meaning, "histogram", made)
