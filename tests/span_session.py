"""A session of HTTP, DNS and processes whose spans are known and overlap within a thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import network_rows
import polars as pl
import pyarrow as pa
import synthetic

from workbench.probe.layout import arrow_schema
from workbench.store.archive import pack
from workbench.store.writer import SessionWriter

START = synthetic.START
MS = 1_000_000
_WHO = {"pid": 1000, "tid": 1001}
ROWS: dict[str, list[dict[str, Any]]] = {
    "http": [
        {"ts": 1, "message": "request", "direction": "send", "method": "get", "path": "/a"},
        {"ts": 2, "message": "request", "direction": "send", "method": "post", "path": '/"b\\'},
        {"ts": 9, "message": "answer", "direction": "receive", "method": "get", "path": "/a",
         "status": 200, "latency": 8},
        {"ts": 7, "message": "answer", "direction": "receive", "method": "post", "path": '/"b\\',
         "status": 500, "latency": 5},
        {"ts": 8, "message": "answer", "direction": "receive", "method": "get", "path": "/lost",
         "status": 404, "latency": 0},
    ],
    "dns": [
        {"ts": 3, "message": "query", "direction": "send", "qname": "é.example", "qtype": "A"},
        {"ts": 5, "message": "answer", "direction": "receive", "qname": "é.example",
         "qtype": "A", "rcode": "noerror", "latency": 2},
    ],
    "exec": [
        {"ts": 4, "event": "fork", "pid": 2000, "tid": 2000, "ppid": 1000},
        {"ts": 10, "event": "exit", "pid": 2000, "tid": 2000, "ppid": 1000, "duration": 6},
        {"ts": 11, "event": "exit", "pid": 1000, "tid": 1000, "ppid": 1, "duration": 500_000},
    ],
}  # fmt: skip
# name, beginning and length in ms from the start of the session; the last process began before it
SPANS = [
    ("A é.example", 3, 2),
    ("GET /a", 1, 8),
    ('POST /"b\\', 2, 5),
    ("bash", 0, 11),
    ("job", 4, 6),
]


def make_session(path: Path) -> Path:
    """Write the session; its process table is that of the synthetic ones."""
    directory = path.with_name(path.name + ".dir")
    writer = SessionWriter.create(directory, synthetic.manifest(tuple(ROWS), 10, 0))
    rows = [(0.0, "snapshot", 1000, 1000, 1, "bash", "", "", None),
            (0.0, "snapshot", 1000, 1001, 1, "worker-0", "", "", None),
            (0.001, "fork", 2000, 2000, 1000, "job", "", "", None)]  # fmt: skip
    names = ("ts", "event", "pid", "tid", "ppid", "comm", "exe", "cmdline", "exit_code")
    side = [
        dict(zip(names, (START + int(row[0] * 1e9), *row[1:]), strict=True), cgroup="/")
        for row in rows
    ]
    writer.append("processes", synthetic._side("processes", side))
    for kind, given in ROWS.items():
        writer.add_table(kind, schema := arrow_schema(network_rows.layout_of(kind)))
        writer.append(kind, _batch(kind, given, schema))
    writer.update()
    writer.finish(reason="x", **synthetic.final_changes(tuple(ROWS), 10))
    pack(directory, path)
    return path


def _batch(kind: str, given: list[dict[str, Any]], schema: Any) -> Any:
    full = []
    for row in given:
        times = {k: row[k] * MS for k in ("latency", "duration") if k in row}
        full.append(_WHO | row | times | {"ts": START + row["ts"] * MS})
    frame = network_rows.table(kind, full).select(schema.names)
    table = frame.cast({pl.Categorical: pl.String}).to_arrow(compat_level=pl.CompatLevel.oldest())
    arrays = [
        pa.array(table.column(f.name).to_pylist(), f.type.value_type)
        .dictionary_encode()
        .cast(f.type)
        if pa.types.is_dictionary(f.type)
        else table.column(f.name).combine_chunks().cast(f.type)
        for f in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
