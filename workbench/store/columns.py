"""What the columns of a session's tables may be, checked before anything is computed from them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from workbench.errors import SessionCorruptError
from workbench.schema import SIDE_TABLES, Column, arrow_schema, arrow_type

MAX_COLUMNS = 128
MAX_TEXT = 1 << 14

KEYS: dict[str, tuple[str, ...]] = {
    "frames": ("frame_id",),
    "stacks": ("stack_id",),
    "syscalls_agg": ("pid", "nr"),
    "files_agg": ("pid", "path_id"),
    "pagecache_agg": ("pid", "path_id"),
    "block_agg": ("pid", "device", "op", "size_class"),
    "sched_agg": ("pid", "tid"),
    "locks_agg": ("lock", "pid", "type"),
    "irq_agg": ("pid", "cpu", "type", "irq"),
    "sockets_agg": ("inode",),
    "tcp_agg": ("pid", "role", "port", "remote_address"),
    "dns_agg": ("qname", "remote_address", "pid", "role", "qtype"),
    "http_agg": ("path", "remote_address", "pid", "role", "port", "method", "status"),
}
"""Tables in which a later row replaces an earlier one with the same key."""

_EVENT_TYPES = {
    "ts": "timestamp",
    "cpu": "uint16",
    "pid": "uint32",
    "tid": "uint32",
    "nr": "uint16",
    "ret": "int64",
    "latency": "duration",
    "stack_id": "uint32",
    "weight": "uint32",
    "errno": "uint16",
    "comm": "dict32",
    "name": "dict32",
    "calls": "uint64",
    "errors": "uint64",
    "latency_sum": "duration",
}
"""Types of the columns that mean the same in every event table."""


@lru_cache(maxsize=64)
def expected_type(table: str, column: str) -> Any:
    """Return the Arrow type that a column must have, None where any plain type will do."""
    if table in SIDE_TABLES:
        names = {item.name: item.arrow for item in SIDE_TABLES[table]}
        return arrow_type(names[column]) if column in names else None
    return arrow_type(_EVENT_TYPES[column]) if column in _EVENT_TYPES else None


@lru_cache(maxsize=8)
def side_schema(table: str) -> Any:
    """Return the Arrow schema of ``processes``, ``stacks`` or ``frames``."""
    columns: tuple[Column, ...] = SIDE_TABLES[table]
    return arrow_schema(columns)


def check_schema(table: str, schema: Any) -> None:
    """Refuse a table whose columns are not what their names promise.

    Parameters
    ----------
    table : str
        Name of the table.
    schema : pyarrow.Schema
        As found in the file.

    Raises
    ------
    SessionCorruptError
        A column is missing, twice there, or has a type that sessions do not hold.
    """
    names = schema.names
    if not 0 < len(names) <= MAX_COLUMNS or len(set(names)) != len(names):
        raise _refused(table, "columns are missing, too many, or named twice")
    needed = list(side_schema(table).names) if table in SIDE_TABLES else ["ts"]
    needed += KEYS.get(table, ())
    if missing := set(needed) - set(names):
        raise _refused(table, f"no column {', '.join(sorted(missing))}")
    for field in schema:
        expected = expected_type(table, field.name)
        if expected is not None and field.type != expected:
            raise _refused(table, f"{field.name[:80]!r} is {field.type}, not {expected}")
        _check_texts(table, field)
        if not _is_plain(field.type):
            raise _refused(table, f"{field.name[:80]!r} is {field.type}")


def _check_texts(table: str, field: Any) -> None:
    """Refuse names and metadata that are no UTF-8 (pyarrow leaves them, polars panics) or huge."""
    try:
        texts = [field.name, *((k + v).decode() for k, v in (field.metadata or {}).items())]
    except UnicodeDecodeError as error:
        raise _refused(table, f"a column has a text that is not UTF-8: {error}") from error
    if sum(map(len, texts)) > MAX_TEXT:
        raise _refused(table, "a column has a long name or description")
    for index in range(getattr(field.type, "num_fields", 0)):
        _check_texts(table, field.type.field(index))


def _is_plain(kind: Any, depth: int = 0) -> bool:
    """Return whether a type is a number, a time, a text, or a list or dictionary of those."""
    import pyarrow.types as t

    if t.is_list(kind) or t.is_fixed_size_list(kind):
        return depth < 2 and _is_plain(kind.value_type, depth + 1)
    if t.is_dictionary(kind):
        return bool(t.is_string(kind.value_type) and t.is_signed_integer(kind.index_type))
    if t.is_timestamp(kind) or t.is_duration(kind):
        return bool(kind.unit == "ns")
    tests = (t.is_integer, t.is_floating, t.is_boolean, t.is_string, t.is_binary)
    return any(test(kind) for test in tests) or bool(t.is_fixed_size_binary(kind))


def _refused(table: str, why: str) -> SessionCorruptError:
    return SessionCorruptError(f"The table {table} of the session cannot be used.", why=why)
