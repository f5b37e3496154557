"""Columns that people see but the kernel does not send: comm, name, errno and weight.

An event carries only what its C struct holds. When a stream is read, and when it is converted
to Parquet, :class:`Decorator` adds the rest: vectorised, a few nanoseconds per row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.schema import DERIVED, MAX_ERRNO, SIDE_TABLES, arrow_field
from workbench.store.comms import CommIndex
from workbench.syscalls_table import name_of

MACHINES = ("x86_64", "aarch64")
_FRONT = ("ts", "cpu", "pid", "tid", "comm", "nr", "name", "args", "ret", "errno", "latency")
"""Columns that stand first, in this order, where a table has them; ``weight`` stands last."""

_SOURCES: dict[str, tuple[str, ...]] = {
    "comm": ("ts", "pid", "tid"),
    "name": ("nr",),
    "errno": ("ret",),
    "weight": ("ts",),
}
"""Columns from which a derived one is made."""


class Decorator:
    """Adds the derived columns to batches of the event tables of one session.

    Parameters
    ----------
    comms : CommIndex
        Names of the session's threads.
    machine : str
        Architecture of the traced host, for the names of its system calls.
    """

    def __init__(self, comms: CommIndex, machine: str) -> None:
        self._comms = comms
        self._names = list(name_of(machine)) if machine in MACHINES else []
        self._dictionaries: dict[str, Any] = {}

    def schema(self, table: str, raw: Any) -> Any:
        """Return the schema that people see for the stream schema `raw`."""
        import pyarrow as pa

        if table in SIDE_TABLES:
            return raw
        fields = {field.name: field for field in raw}
        fields |= {name: arrow_field(DERIVED[name]) for name in derived(raw.names, table)}
        return pa.schema([fields[name] for name in ordered(fields)])

    def batch(self, table: str, batch: Any, columns: Sequence[str] | None = None) -> Any:
        """Return a batch with the derived columns.

        Parameters
        ----------
        table : str
            Name of the table; side tables hold no derived columns.
        batch : pyarrow.RecordBatch
            As read from the stream, validated.
        columns : sequence of str, optional
            The columns to return, in this order; default all. What is not asked for is not
            computed.
        """
        import pyarrow as pa

        schema = self.schema(table, batch.schema)
        names = schema.names if columns is None else list(columns)
        arrays = [
            batch.column(name) if name in batch.schema.names else self._derive(name, batch)
            for name in names
        ]
        return pa.RecordBatch.from_arrays(
            arrays, schema=pa.schema([schema.field(n) for n in names])
        )

    def _derive(self, name: str, batch: Any) -> Any:
        if name == "comm":
            return self._comm(batch)
        if name == "name":
            return self._name(fixed(batch.column("nr"), np.uint16))
        if name == "errno":
            return _errno(fixed(batch.column("ret"), np.int64))
        import pyarrow as pa

        return pa.array(np.ones(batch.num_rows, np.uint32))

    def _comm(self, batch: Any) -> Any:
        pid = fixed(batch.column("pid"), np.uint32)
        tid = fixed(batch.column("tid"), np.uint32) if "tid" in batch.schema.names else pid
        codes = self._comms.lookup(tid, fixed(batch.column("ts"), np.int64), pid)
        return self._encoded(codes, "comm", self._comms.values)

    def _name(self, nr: NDArray[np.uint16]) -> Any:
        top = int(nr.max()) if len(nr) else 0
        known = len(self._names)
        if top >= known:
            self._names += [f"syscall_{number}" for number in range(known, top + 1)]
        return self._encoded(nr.astype(np.int32), "name", self._names)

    def _encoded(self, codes: NDArray[np.int32], column: str, values: list[str]) -> Any:
        import pyarrow as pa

        dictionary = self._dictionaries.get(column)
        if dictionary is None or len(dictionary) != len(values):
            dictionary = self._dictionaries[column] = pa.array(values, pa.string())
        return pa.DictionaryArray.from_arrays(pa.array(codes), dictionary, safe=False)


def derived(columns: Iterable[str], table: str = "") -> list[str]:
    """Return the derived columns that an event table with these stream columns gets."""
    there = set(columns)
    names = []
    if "pid" in there:
        names.append("comm")
    if "nr" in there:
        names.append("name")
    if "ret" in there:
        names.append("errno")
    # A table without threads is an aggregated one, as its name may say, too: counts are no weights.
    if "tid" in there and not table.endswith("_agg"):
        names.append("weight")
    return [name for name in names if name not in there]


def needed(columns: Iterable[str], stream: Sequence[str]) -> list[str]:
    """Return the stream columns from which `columns` can be made."""
    wanted: set[str] = set()
    for name in columns:
        wanted.update((name,) if name in stream else _SOURCES.get(name, ()))
    return [name for name in stream if name in wanted]


def ordered(columns: Iterable[str]) -> list[str]:
    """Return column names in the order in which people see them."""
    rest = list(columns)
    front = [name for name in _FRONT if name in rest]
    last = [name for name in rest if name == "weight"]
    return front + [name for name in rest if name not in front and name != "weight"] + last


def fixed(array: Any, dtype: type[np.generic]) -> NDArray[Any]:
    """Return the values of a fixed-width Arrow array as a view; null slots hold anything."""
    if not len(array):
        return np.zeros(0, dtype)
    start = array.offset * np.dtype(dtype).itemsize
    return np.frombuffer(array.buffers()[1], dtype, len(array), start)


def _errno(ret: NDArray[np.int64]) -> Any:
    import pyarrow as pa

    failed = (ret >= -MAX_ERRNO) & (ret < 0)
    return pa.array(np.where(failed, -ret, 0).astype(np.uint16), mask=~failed)
