"""C types as Arrow: keys, values and events of programs whose types are known at run time only.

A type turns rows of bytes into an Arrow array, all rows at once, and a Python value into bytes.
Structs become Arrow structs, arrays fixed-size lists, ``char`` arrays strings, enums their
numbers, and unions structs whose members all see the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from workbench.errors import MapError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ColumnType(Protocol):
    """A C type as a column; :class:`workbench.ctype.CType` is one as a probe reads it."""

    @property
    def size(self) -> int:
        """Bytes."""

    def array(self, data: NDArray[np.uint8]) -> Any:
        """Return rows of exactly ``size`` bytes, shape (n, size), as a pyarrow array."""

    def pack(self, value: Any) -> bytes:
        """Return a value as ``size`` bytes.

        Raises
        ------
        MapError
            The value does not fit.
        """


@dataclass(frozen=True)
class Scalar:
    """An integer, ``bool``, floating-point number, enum or pointer."""

    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Bytes."""
        return self.dtype.itemsize

    def array(self, data: NDArray[np.uint8]) -> Any:
        """Return rows of bytes as a pyarrow array."""
        import pyarrow as pa

        values = np.ascontiguousarray(data).view(self.dtype).reshape(-1)
        return pa.array(values != 0 if self.dtype.kind == "b" else values)

    def pack(self, value: Any) -> bytes:
        """Return a number as bytes."""
        kind = self.dtype.kind
        try:
            made = np.zeros((), self.dtype)
            made[...] = value
            fits = kind == "f" or made.item() == value
        except (OverflowError, ValueError, TypeError):
            fits = False
        if not fits:
            raise MapError(f"{value!r} is no {self.dtype.name}.")
        return made.tobytes()


@dataclass(frozen=True)
class Bits:
    """A bit field: ``width`` bits from bit ``shift`` of its struct's member on."""

    shift: int
    width: int
    signed: bool

    @property
    def size(self) -> int:
        """Bytes that it touches, at most 9."""
        return (self.shift + self.width + 7) // 8

    def array(self, data: NDArray[np.uint8]) -> Any:
        """Return rows of bytes as a pyarrow array of 64-bit numbers."""
        import pyarrow as pa

        words = np.zeros((len(data), 16), np.uint8)
        words[:, : self.size] = data
        low, high = words.view(np.uint64).T
        value = low >> np.uint64(self.shift)
        if self.shift:
            value |= high << np.uint64(64 - self.shift)
        unused = np.uint64(64 - self.width)
        value <<= unused
        if self.signed:
            return pa.array(value.view(np.int64) >> np.int64(unused))
        return pa.array(value >> unused)

    def bits(self, value: Any) -> int:
        """Return a number as bits in their place."""
        lowest = -(1 << (self.width - 1)) if self.signed else 0
        if not (isinstance(value, int) and lowest <= value < lowest + (1 << self.width)):
            raise MapError(f"{value!r} does not fit a bit field of {self.width} bits.")
        return (value & ((1 << self.width) - 1)) << self.shift

    def pack(self, value: Any) -> bytes:
        """Return a number as bytes."""
        return self.bits(value).to_bytes(self.size, "little")


@dataclass(frozen=True)
class Opaque:
    """Bytes without a meaning: 128-bit integers, long doubles, types that are not known."""

    size: int

    def array(self, data: NDArray[np.uint8]) -> Any:
        """Return rows of bytes as a pyarrow array of fixed-size binary values."""
        import pyarrow as pa

        flat = np.ascontiguousarray(data)
        kind = pa.binary(self.size)
        return pa.Array.from_buffers(kind, len(data), [None, pa.py_buffer(flat)])

    def pack(self, value: Any) -> bytes:
        """Return bytes, which must have the size, or an integer."""
        if isinstance(value, int) and 0 <= value < 1 << (8 * self.size):
            return value.to_bytes(self.size, "little")
        if not isinstance(value, bytes | bytearray) or len(value) != self.size:
            raise MapError(f"{value!r} is not {self.size} bytes.")
        return bytes(value)


@dataclass(frozen=True)
class Text:
    """An array of ``char``: a string up to its first NUL."""

    size: int

    def array(self, data: NDArray[np.uint8]) -> Any:
        """Return rows of bytes as a pyarrow array of strings; what is no UTF-8 is replaced."""
        import pyarrow as pa
        import pyarrow.compute as pc

        ended = data == 0
        lengths = np.where(ended.any(axis=1), ended.argmax(axis=1), self.size)
        keep = np.arange(self.size) < lengths[:, None]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data[keep]))]
        made = pa.Array.from_buffers(pa.large_binary(), len(data), buffers)
        try:
            return pc.cast(made, pa.string())
        except pa.ArrowInvalid:  # not UTF-8: a rarity, which may take its time
            return pa.array([v.decode("utf-8", "replace") for v in made.to_pylist()], pa.string())

    def pack(self, value: Any) -> bytes:
        """Return a string as bytes, filled with NUL."""
        data = value.encode() if isinstance(value, str) else value
        if not isinstance(data, bytes) or len(data) > self.size:
            raise MapError(f"{value!r} is no text of at most {self.size} bytes.")
        return data.ljust(self.size, b"\0")


@dataclass(frozen=True)
class Array:
    """An array of ``count`` elements."""

    element: ColumnType
    count: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.element.size * self.count

    def array(self, data: NDArray[np.uint8]) -> Any:
        """Return rows of bytes as a pyarrow array of fixed-size lists."""
        import pyarrow as pa

        flat = np.ascontiguousarray(data).reshape(len(data) * self.count, self.element.size)
        return pa.FixedSizeListArray.from_arrays(self.element.array(flat), self.count)

    def pack(self, value: Any) -> bytes:
        """Return a sequence of ``count`` values as bytes."""
        if isinstance(value, str | bytes) or not hasattr(value, "__len__"):
            raise MapError(f"{value!r} is no sequence of {self.count} values.")
        if len(value) != self.count:
            raise MapError(f"{self.count} values are needed, not {len(value)}.")
        return b"".join(self.element.pack(each) for each in value)


@dataclass(frozen=True)
class Member:
    """A member of a struct or union, ``offset`` bytes from its start."""

    name: str
    offset: int
    type: ColumnType


@dataclass(frozen=True)
class Struct:
    """A struct, or with ``union`` a union. Members of unnamed ones are their parent's."""

    name: str
    size: int
    members: tuple[Member, ...]
    union: bool = False

    def columns(self, data: NDArray[np.uint8]) -> dict[str, Any]:
        """Return rows of bytes as one pyarrow array for each member."""
        return {
            m.name: m.type.array(data[:, m.offset : m.offset + m.type.size]) for m in self.members
        }

    def array(self, data: NDArray[np.uint8]) -> Any:
        """Return rows of bytes as a pyarrow struct array."""
        import pyarrow as pa

        columns = self.columns(data)
        if not columns:
            return pa.nulls(len(data))
        return pa.StructArray.from_arrays(list(columns.values()), list(columns))

    def pack(self, value: Any) -> bytes:
        """Return a mapping of names, or a sequence in their order, as bytes.

        Members that a mapping leaves out are zero.
        """
        if not isinstance(value, dict):
            if not isinstance(value, tuple | list) or len(value) != len(self.members):
                raise MapError(f"{value!r} does not name the members {self.names} of {self.name}.")
            value = dict(zip(self.names, value, strict=True))
        unknown = sorted(set(value) - set(self.names))
        if unknown:
            raise MapError(
                f"{self.name or 'The struct'} has no member {unknown[0]!r}.",
                why=f"it has {', '.join(self.names)}",
            )
        number = 0  # members of unions and bit fields share bytes
        for member in self.members:
            if member.name in value:
                packed = int.from_bytes(member.type.pack(value[member.name]), "little")
                number |= packed << (8 * member.offset)
        return number.to_bytes(self.size, "little")

    @property
    def names(self) -> list[str]:
        """Names of the members."""
        return [member.name for member in self.members]


@dataclass(frozen=True)
class ColumnNames:
    """What the columns of a map's entries are called, each name once.

    Parameters
    ----------
    key, value : tuple of str
        Of the members of a struct, in their order, or of what is no struct.
    cpu : str
        Of the CPU whose value it is; empty where there is one value for all CPUs.
    """

    key: tuple[str, ...]
    cpu: str
    value: tuple[str, ...]

    @classmethod
    def of(cls, key: ColumnType, value: ColumnType, *, per_cpu: bool) -> ColumnNames:
        """Return those of a map: the key keeps its own, the CPU and the value step aside."""
        keys = tuple(_names(key, "key"))
        taken = set(keys)
        cpu = _free("cpu", "of_", taken) if per_cpu else ""
        values = tuple(_free(name, "value_", taken) for name in _names(value, "value"))
        return cls(keys, cpu, values)


def _free(name: str, prefix: str, taken: set[str]) -> str:
    while name in taken:
        name = prefix + name
    taken.add(name)
    return name


def _names(kind: ColumnType, name: str) -> list[str]:
    return kind.names if isinstance(kind, Struct) and kind.members else [name]


def table_columns(kind: ColumnType, name: str, data: NDArray[np.uint8]) -> dict[str, Any]:
    """Return rows as columns of a table: a struct's members, or one column ``name``."""
    if isinstance(kind, Struct) and kind.members:
        return kind.columns(data)
    return {name: kind.array(data)}
