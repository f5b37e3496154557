"""Arrow columns → rows of bytes as C types lay them out: the reverse of :mod:`.column_type`.

All rows at once: what takes one value, ``pack()``, would take seconds for a million of them.
"""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import MapError
from workbench.probe.column_type import Array, Bits, ColumnNames, ColumnType, Scalar, Struct, Text

if TYPE_CHECKING:
    from numpy.typing import NDArray


def rows_of(kind: ColumnType, array: Any) -> NDArray[np.uint8]:
    """Return an array's values as bytes.

    Parameters
    ----------
    kind : ColumnType
    array : pyarrow.Array
        As :meth:`ColumnType.array` returns one, or of a type that can be cast to it.

    Returns
    -------
    uint8 array of shape (n, kind.size)

    Raises
    ------
    MapError
        There are nulls, or a value does not fit.
    """
    import pyarrow as pa

    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if array.null_count:
        raise MapError("A column has nulls, which C has no values for.")
    try:
        return _rows(kind, array)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise MapError(
            f"A column of {array.type} cannot be {_words(kind)}.", why=str(error)
        ) from error


@singledispatch
def _rows(kind: ColumnType, array: Any) -> NDArray[np.uint8]:
    packed = [kind.pack(value) for value in array.to_pylist()]  # Opaque: a rarity
    return np.frombuffer(b"".join(packed), np.uint8).reshape(len(array), kind.size)


@_rows.register(Scalar)
def _(kind: Scalar, array: Any) -> NDArray[np.uint8]:
    import pyarrow as pa

    t = pa.types
    number = t.is_integer(array.type) or t.is_floating(array.type) or t.is_temporal(array.type)
    if not t.is_boolean(array.type) and (kind.dtype.kind == "b" or not number):
        raise pa.ArrowTypeError("it holds other values")  # a cast would take texts apart
    values = array.cast(pa.from_numpy_dtype(kind.dtype)).to_numpy(zero_copy_only=False)
    made = np.ascontiguousarray(values, kind.dtype)
    return made.view(np.uint8).reshape(len(array), kind.size)


@_rows.register(Bits)
def _(kind: Bits, array: Any) -> NDArray[np.uint8]:
    import pyarrow as pa

    if not pa.types.is_integer(array.type):
        raise pa.ArrowTypeError("it holds no whole numbers")
    wanted = pa.int64() if kind.signed else pa.uint64()
    values = array.cast(wanted).to_numpy(zero_copy_only=False)
    lowest = -(1 << (kind.width - 1)) if kind.signed else 0
    outside = (values < lowest) | (values > lowest + (1 << kind.width) - 1)
    if outside.any():
        kind.bits(int(values[outside][0]))  # it says so
    bits = np.ascontiguousarray(values).view(np.uint64)
    bits = bits & np.uint64((1 << kind.width) - 1)
    words = np.zeros((len(bits), 2), np.uint64)
    words[:, 0] = bits << np.uint64(kind.shift)
    if kind.shift:
        words[:, 1] = bits >> np.uint64(64 - kind.shift)
    return words.view(np.uint8)[:, : kind.size]


@_rows.register(Text)
def _(kind: Text, array: Any) -> NDArray[np.uint8]:
    import pyarrow as pa

    t, made = pa.types, np.zeros((len(array), kind.size), np.uint8)
    if t.is_string(array.type) or t.is_string_view(array.type):
        array = array.cast(pa.large_string())
    elif not (t.is_large_string(array.type) or t.is_binary(array.type)):
        raise pa.ArrowTypeError("it holds no texts")
    whole = array.cast(pa.large_binary())
    _, offsets, data = whole.buffers()
    if not len(whole):
        return made
    at = np.frombuffer(offsets, np.int64)[whole.offset : whole.offset + len(whole) + 1]
    lengths = np.diff(at)
    if lengths.max() > kind.size:
        kind.pack(whole[int(lengths.argmax())].as_py())  # it says so
    if data is not None:
        taken = np.frombuffer(data, np.uint8)[at[0] : at[-1]]
        made[np.arange(kind.size) < lengths[:, None]] = taken
    return made


@_rows.register(Array)
def _(kind: Array, array: Any) -> NDArray[np.uint8]:
    import pyarrow as pa

    lists = array.cast(pa.list_(array.type.value_type, kind.count))
    return rows_of(kind.element, lists.flatten()).reshape(len(array), kind.size)


@_rows.register(Struct)
def _(kind: Struct, array: Any) -> NDArray[np.uint8]:
    names = [field.name for field in array.type]
    return struct_rows(kind, dict(zip(names, array.flatten(), strict=True)), len(array))


def struct_rows(kind: Struct, columns: dict[str, Any], count: int) -> NDArray[np.uint8]:
    """Return a struct's members, one array each, as ``count`` rows.

    Raises
    ------
    MapError
        A member is missing, or there is another one.
    """
    if set(columns) != set(kind.names):
        wrong = sorted(set(columns) ^ set(kind.names))
        raise MapError(
            f"Columns for {kind.name or 'the struct'} are not its members: {', '.join(wrong)}.",
            why=f"it has {', '.join(kind.names)}",
        )
    made = np.zeros((count, kind.size), np.uint8)
    for member in kind.members:  # those of unions and bit fields share bytes
        part = rows_of(member.type, columns[member.name])
        made[:, member.offset : member.offset + member.type.size] |= part
    return made


def _words(kind: ColumnType) -> str:
    if isinstance(kind, Scalar):
        return kind.dtype.name
    if isinstance(kind, Text):
        return f"char[{kind.size}]"
    return f"{type(kind).__name__.lower()} of {kind.size} bytes"


def entries_of(
    table: Any, key: ColumnType, value: ColumnType, cpus: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the rows of a table, named as :meth:`TypedMap.arrow` names them, as a map's entries.

    Parameters
    ----------
    table : pyarrow.Table
    key, value : ColumnType
    cpus : int
        Values of each key; 0 where there is one for all CPUs.

    Returns
    -------
    keys, values : uint8 arrays
        As :meth:`workbench.probe.map_access.MapAccess.update_batch` takes them.

    Raises
    ------
    MapError
        Columns are missing or unknown, values do not fit, or a CPU's value is missing.
    """
    names = ColumnNames.of(key, value, per_cpu=bool(cpus))
    columns = {n: table.column(n).combine_chunks() for n in table.column_names}
    count = table.num_rows
    of_cpu = columns.pop(names.cpu, None) if cpus else None
    keys = _part(key, names.key, columns, count)
    values = _part(value, names.value, columns, count)
    if columns:
        raise MapError(f"The map has no column {min(columns)}.")
    if not cpus:
        return keys, values
    width = -(-value.size // 8) * 8
    padded = np.zeros((count, width), np.uint8)
    padded[:, : value.size] = values
    if of_cpu is None:
        return keys, np.tile(padded, (1, cpus))
    cpu = rows_of(Scalar(np.dtype("<u2")), of_cpu).view("<u2")[:, 0]
    return _by_cpu(keys, padded, cpu, cpus, names.cpu)


def _part(
    kind: ColumnType, names: tuple[str, ...], columns: dict[str, Any], count: int
) -> NDArray[np.uint8]:
    """Take the columns of a key or a value out of ``columns``."""
    missing = [name for name in names if name not in columns]
    if missing:
        raise MapError(f"A column is missing: {missing[0]}.", why="the map's entries have it")
    mine = [columns.pop(name) for name in names]
    if isinstance(kind, Struct) and kind.members:
        return struct_rows(kind, dict(zip(kind.names, mine, strict=True)), count)
    return rows_of(kind, mine[0])


def _by_cpu(
    keys: NDArray[np.uint8],
    values: NDArray[np.uint8],
    cpu: NDArray[np.uint16],
    cpus: int,
    column: str,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Put the values of each key, one row for each CPU, beside one another."""
    unique, first, which = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    place = which.reshape(-1) * cpus + np.minimum(cpu, cpus)
    complete = len(keys) == len(unique) * cpus and len(np.unique(place)) == len(place)
    if not complete or (cpu >= cpus).any():
        raise MapError(
            f"Each key has to have one row for each of the {cpus} CPUs.",
            advice=f"Leave out the column {column} to set one value for all of them.",
        )
    made = np.zeros((len(unique) * cpus, values.shape[1]), np.uint8)
    made[place] = values
    return keys[first], made.reshape(len(unique), cpus * values.shape[1])
