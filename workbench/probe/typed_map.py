"""A map with the types of its keys and values: Python values in, Arrow and polars out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import MapError, ObjectFormatError
from workbench.probe.column_type import (
    Array,
    ColumnNames,
    ColumnType,
    Opaque,
    Scalar,
    table_columns,
)
from workbench.probe.column_type_btf import column_type, loaded_btf
from workbench.probe.column_write import entries_of
from workbench.probe.map_access import ANY, PER_CPU, QUEUES, STACK_TRACE, MapAccess, possible_cpus
from workbench.probe.open_map import OpenMap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import polars as pl
    from numpy.typing import NDArray

    from workbench.probe.btf import Btf
    from workbench.probe.maps import Map

MAX_NUMBER = 8


class TypedMap:
    """Keys and values of a map as Python values, rows of it as Arrow.

    Parameters
    ----------
    raw : MapAccess
        The map.
    key, value : ColumnType
        Their sizes must be the map's own.

    Raises
    ------
    MapError
        They are not.

    Examples
    --------
    >>> counts = cell.tables["counts"]                 # doctest: +SKIP
    >>> counts[{"pid": 1, "comm": "init"}] = 7         # doctest: +SKIP
    >>> counts.polars().sort("value")                  # doctest: +SKIP
    """

    def __init__(self, raw: MapAccess, key: ColumnType, value: ColumnType) -> None:
        for what, kind, size in (("key", key, raw.key_size), ("value", value, raw.value_size)):
            if kind.size != size and not (what == "key" and raw.type in QUEUES):
                raise MapError(
                    f"Map {raw.name} has {what}s of {size} bytes, not {kind.size}.",
                    advice="Its type must be the one that the program was compiled with.",
                )
        self.raw, self.key, self.value = raw, key, value

    @property
    def name(self) -> str:
        """Name of the map."""
        return self.raw.name

    @property
    def per_cpu(self) -> bool:
        """Whether each CPU has a value of its own."""
        return self.raw.type in PER_CPU

    def __getitem__(self, key: Any) -> Any:
        """Value of a key; for per-CPU maps a list of all CPUs' values.

        Raises
        ------
        KeyError
            It is not there.
        MapError
            It is no key of this map.
        """
        data = self.raw.lookup(self.key.pack(key))
        if data is None:
            raise KeyError(key)
        values = self._values(np.frombuffer(data, np.uint8)[None])
        made = self.value.array(values).to_pylist()
        return made if self.per_cpu else made[0]

    def get(self, key: Any, default: Any = None) -> Any:
        """Value of a key, or ``default``."""
        try:
            return self[key]
        except KeyError:
            return default

    def __setitem__(self, key: Any, value: Any) -> None:
        """Set a value; for per-CPU maps a list with one for each CPU, or one for all of them."""
        self.update(key, value)

    def update(self, key: Any, value: Any, flags: int = ANY) -> None:
        """Set a value; ``flags`` as for :meth:`workbench.probe.map_access.MapAccess.update`."""
        self.raw.update(self.key.pack(key), self._packed(value), flags)

    def __delitem__(self, key: Any) -> None:
        if not self.raw.delete(self.key.pack(key)):
            raise KeyError(key)

    def write(self, entries: Mapping[Any, Any] | Iterable[tuple[Any, Any]] | Any) -> None:
        """Set many values in one batch.

        Parameters
        ----------
        entries : mapping, or pairs of key and value, or table
            Keys that are dicts cannot be in a mapping. A table is anything that Arrow can read
            (polars, pyarrow, pandas), with the columns of :meth:`arrow`; without the CPU's each
            value is that of all CPUs.

        Raises
        ------
        MapError
            A value does not fit: nothing is written. The map is full: what was written stays.
        """
        if self.raw.type in QUEUES:
            raise MapError(f"Map {self.name} has no keys.", advice="push() adds a value.")
        if hasattr(entries, "__arrow_c_stream__"):
            import pyarrow as pa

            cpus = possible_cpus() if self.per_cpu else 0
            self.raw.update_batch(*entries_of(pa.table(entries), self.key, self.value, cpus))
            return
        pairs = list(entries.items() if hasattr(entries, "items") else entries)
        keys = b"".join(self.key.pack(key) for key, _ in pairs)
        values = b"".join(self._packed(value) for _, value in pairs)
        self.raw.update_batch(
            np.frombuffer(keys, np.uint8).reshape(len(pairs), self.raw.key_size),
            np.frombuffer(values, np.uint8).reshape(len(pairs), self.raw.stride),
        )

    def remove(self, keys: Iterable[Any]) -> int:
        """Remove many keys in batches; return how many were there."""
        packed = [self.key.pack(key) for key in keys]
        data = np.frombuffer(b"".join(packed), np.uint8).reshape(len(packed), self.raw.key_size)
        return self.raw.delete_batch(data)

    def push(self, value: Any) -> None:
        """Add a value to a queue or stack."""
        self.raw.push(self.value.pack(value))

    def pop(self) -> Any:
        """Take the next value out of a queue or stack; None if there is none."""
        return self._one(self.raw.pop())

    def peek(self) -> Any:
        """Next value of a queue or stack, which stays; None if there is none."""
        return self._one(self.raw.peek())

    def drain(self) -> pl.DataFrame:
        """Take all values out of a queue or stack, in the order in which they come."""
        import polars as pl

        taken: list[bytes] = []
        # No more than it can hold: a program may push as fast as this takes out.
        while len(taken) < self.raw.max_entries and (data := self.raw.pop()) is not None:
            taken.append(data)
        rows = np.frombuffer(b"".join(taken), np.uint8).reshape(len(taken), self.value.size)
        return pl.DataFrame(_table(table_columns(self.value, "value", rows)))

    def arrow(self) -> Any:
        """All entries as a pyarrow table.

        Returns
        -------
        pyarrow.Table
            Columns of the key (the members of a struct, else ``key``) and of the value (its
            members, else ``value``); with per-CPU maps a column ``cpu``, one row for each key and
            CPU. Where the key has a member of that name, it keeps it: the CPU's column is
            ``of_cpu`` then, and a value's member gets ``value_`` before it.

        Raises
        ------
        MapError
            Queues and stacks: reading takes values out, see :meth:`drain`.
        """
        if self.raw.type in QUEUES:
            raise MapError(
                f"Map {self.name} has no keys.", advice="drain() takes its values out in order."
            )
        keys, values = self.raw.items()
        return _table(self.columns(keys, values))

    def columns(self, keys: NDArray[np.uint8], values: NDArray[np.uint8]) -> dict[str, Any]:
        """Return entries, as :meth:`MapAccess.items` gives them, as columns."""
        names = ColumnNames.of(self.key, self.value, per_cpu=self.per_cpu)
        cpus = possible_cpus() if self.per_cpu else 1
        if self.per_cpu:
            keys = np.repeat(keys, cpus, axis=0)
        columns = table_columns(self.key, "key", keys)
        if self.per_cpu:
            import pyarrow as pa

            columns[names.cpu] = pa.array(np.tile(np.arange(cpus, dtype=np.uint16), len(values)))
        parts = table_columns(self.value, "value", self._values(values)).values()
        return columns | dict(zip(names.value, parts, strict=True))

    def polars(self) -> pl.DataFrame:
        """All entries as a polars DataFrame, with the columns of :meth:`arrow`."""
        import polars as pl

        return pl.DataFrame(self.arrow())

    def __len__(self) -> int:
        return len(self.raw.items()[0])

    def __repr__(self) -> str:
        return f"<Map {self.name}: {self.raw.max_entries:,} entries at most>"

    def _values(self, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """One row for each value: per-CPU rows hold one for each CPU, padded to 8 bytes."""
        if not self.per_cpu:
            return data
        split = data.reshape(len(data) * possible_cpus(), -1)
        return split[:, : self.value.size]

    def _packed(self, value: Any) -> bytes:
        if not self.per_cpu:
            return self.value.pack(value)
        each = value if isinstance(value, list) else [value] * possible_cpus()
        if len(each) != possible_cpus():
            raise MapError(f"Map {self.name} holds {possible_cpus()} values, not {len(each)}.")
        width = -(-self.value.size // 8) * 8
        return b"".join(self.value.pack(one).ljust(width, b"\0") for one in each)

    def _one(self, data: bytes | None) -> Any:
        if data is None:
            return None
        return self.value.array(np.frombuffer(data, np.uint8)[None]).to_pylist()[0]


def typed(raw: OpenMap, btf: Btf | None = None, types: tuple[int, int] | None = None) -> TypedMap:
    """Return a loaded map with the types that the kernel holds for it.

    Where there are none, numbers are taken to be unsigned, stacks to be addresses, and anything
    else is bytes.

    Parameters
    ----------
    raw : OpenMap
    btf : Btf, optional
        That of ``raw.btf_id``, if it is known already.
    types : (int, int), optional
        Numbers of the key's and the value's type in ``btf``. Of queues and stacks of an object the
        kernel is not told them.
    """
    btf = btf or loaded_btf(raw.btf_id)
    key, value = types or (raw.key_type, raw.value_type)
    if raw.type == STACK_TRACE and raw.value_size % MAX_NUMBER == 0:
        stack = Array(Scalar(np.dtype("<u8")), raw.value_size // MAX_NUMBER)
        return TypedMap(raw, _type(btf, key, raw.key_size), stack)
    return TypedMap(raw, _type(btf, key, raw.key_size), _type(btf, value, raw.value_size))


def of_object(btf: Btf, each: Map) -> TypedMap:
    """Return a loaded map of an object, with the types that the object declares for it."""
    return typed(OpenMap.of(each.fd, each.name), btf, _declared(btf, each.name))


def _declared(btf: Btf, name: str) -> tuple[int, int]:
    """Types of ``__type(key, ...)`` and ``__type(value, ...)``: pointers in the map's struct."""
    number, _, _ = btf.datasec(".maps").get(name, (0, 0, 0))
    struct, _ = btf.resolve(number)
    pointers = {m.name: btf.resolve(m.type_id)[0].type_id for m in struct.members}
    return pointers.get("key", 0), pointers.get("value", 0)


def _type(btf: Btf | None, number: int, size: int) -> ColumnType:
    try:
        found = column_type(btf, number) if btf and number else None
    except ObjectFormatError:  # a type that no column can hold
        found = None
    if found is not None and found.size == size:
        return found
    if size in (1, 2, 4, MAX_NUMBER):
        return Scalar(np.dtype(f"<u{size}"))
    return Opaque(size)


def _table(columns: dict[str, Any]) -> Any:
    import pyarrow as pa

    return pa.table(columns)
