"""The BTF section of a BPF object: types, variables and declaration tags.

Layout as in the kernel's Documentation/bpf/btf.rst (6.1). Every offset and count is checked, so
a damaged or hostile object gives :class:`~workbench.errors.ObjectFormatError`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import cached_property

from workbench.errors import ObjectFormatError

MAGIC = 0xEB9F
MAX_TYPES = 1_000_000
"""More than a whole kernel has (about 130,000); guards against hostile counts."""

INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF = range(1, 9)
VOLATILE, CONST, RESTRICT, FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT = range(9, 17)
DECL_TAG, TYPE_TAG, ENUM64 = range(17, 20)

_MODIFIERS = {VOLATILE, CONST, RESTRICT, TYPE_TAG}
# Bytes that follow the common 12-byte header: fixed, and for each of `vlen` entries.
_EXTRA = {INT: (4, 0), ARRAY: (12, 0), STRUCT: (0, 12), UNION: (0, 12), ENUM: (0, 8)}
_EXTRA |= {FUNC_PROTO: (0, 8), VAR: (4, 0), DATASEC: (0, 12), DECL_TAG: (4, 0), ENUM64: (0, 12)}


@dataclass(frozen=True)
class Member:
    """A member of a struct or union; ``bits`` is 0 unless it is a bit field."""

    name: str
    type_id: int
    bit_offset: int
    bits: int


@dataclass(frozen=True)
class Type:
    """One type; which attributes mean something depends on ``kind``."""

    kind: int
    name: str
    size: int = 0
    type_id: int = 0
    signed: bool = False
    count: int = 0
    members: tuple[Member, ...] = ()
    values: tuple[tuple[str, int], ...] = ()
    variables: tuple[tuple[int, int, int], ...] = ()
    component: int = -1


@dataclass(frozen=True)
class Btf:
    """All types of an object.

    Parameters
    ----------
    types : tuple of Type
        Indexed by type id; entry 0 is ``void``.
    """

    types: tuple[Type, ...]
    by_name: dict[tuple[int, str], int] = field(repr=False)

    @classmethod
    def parse(cls, data: bytes, where: str = "object") -> Btf:
        """Read the content of a ``.BTF`` section.

        Raises
        ------
        ObjectFormatError
            The section is truncated, of another version or inconsistent.
        """
        try:
            types = tuple(_types(*_sections(data)))
        except (struct.error, ValueError, IndexError) as error:
            raise ObjectFormatError(
                f"The BTF of {where} cannot be read.",
                why=str(error),
                advice="Build the object again: clang -g -target bpf.",
            ) from error
        return cls(types, {(t.kind, t.name): i for i, t in enumerate(types) if t.name})

    def find(self, kind: int, name: str) -> Type:
        """Return the type of that kind and name.

        Raises
        ------
        KeyError
        """
        return self.types[self.by_name[kind, name]]

    def resolve(self, type_id: int) -> tuple[Type, str]:
        """Follow modifiers and typedefs.

        Returns
        -------
        Type
            The type at the end of the chain.
        str
            The name of the first typedef on the way, or "".
        """
        typedef = ""
        for _ in range(32):
            if not 0 <= type_id < len(self.types):
                break
            found = self.types[type_id]
            if found.kind == TYPEDEF:
                typedef = typedef or found.name
            elif found.kind not in _MODIFIERS:
                return found, typedef
            type_id = found.type_id
        raise ObjectFormatError("The BTF of the object has a chain of types without an end.")

    def size(self, type_id: int) -> int:
        """Size of a type in bytes."""
        found, _ = self.resolve(type_id)
        if found.kind == ARRAY:
            return found.count * self.size(found.type_id)
        return 8 if found.kind == PTR else found.size

    def datasec(self, name: str) -> dict[str, tuple[int, int, int]]:
        """Variables of a data section: name to (type id, offset, size in bytes)."""
        if (DATASEC, name) not in self.by_name:
            return {}
        result = {}
        for var_id, offset, size in self.find(DATASEC, name).variables:
            if 0 < var_id < len(self.types):
                var = self.types[var_id]
                result[var.name] = (var.type_id, offset, size)
        return result

    def enum(self, name: str) -> dict[str, int]:
        """Names and values of an enum.

        Raises
        ------
        KeyError
        """
        return dict(self.find(ENUM, name).values)

    @cached_property
    def docs(self) -> dict[tuple[int, int], str]:
        """Declaration tags: (type id, member index) to text."""
        return {(t.type_id, t.component): t.name for t in self.types if t.kind == DECL_TAG}


def _sections(data: bytes) -> tuple[bytes, bytes]:
    """Return the type and the string section."""
    magic, version, _, header = struct.unpack_from("<HBBI", data)
    if magic != MAGIC:
        raise ValueError("the magic number is wrong (big-endian objects are not for this machine)")
    if version != 1 or header < 24:
        raise ValueError(f"version {version} is not known")
    type_off, type_len, str_off, str_len = struct.unpack_from("<IIII", data, 8)
    for offset, length in ((type_off, type_len), (str_off, str_len)):
        if header + offset + length > len(data):
            raise ValueError("a section ends beyond the data")
    types = data[header + type_off : header + type_off + type_len]
    strings = data[header + str_off : header + str_off + str_len]
    return types, strings


def _types(data: bytes, strings: bytes) -> list[Type]:
    types = [Type(0, "void")]
    at = 0
    while at < len(data):
        name_off, info, size_or_type = struct.unpack_from("<III", data, at)
        kind, vlen, flag = info >> 24 & 0x1F, info & 0xFFFF, info >> 31
        fixed, each = _EXTRA.get(kind, (0, 0))
        body = data[at + 12 : at + 12 + fixed + each * vlen]
        if not INT <= kind <= ENUM64 or len(body) != fixed + each * vlen:
            raise ValueError(f"type {len(types)} is truncated or of unknown kind {kind}")
        types.append(_type(kind, _string(strings, name_off), size_or_type, flag, body, strings))
        if len(types) > MAX_TYPES:
            raise ValueError("too many types")
        at += 12 + fixed + each * vlen
    return types


def _string(strings: bytes, offset: int) -> str:
    end = strings.find(b"\0", offset)
    if offset >= len(strings) or end < 0:
        raise ValueError("a name lies outside the string section")
    return strings[offset:end].decode("utf-8", "replace")


def _type(  # noqa: PLR0911 - one way out per kind
    kind: int, name: str, number: int, flag: int, body: bytes, strings: bytes
) -> Type:
    if kind == INT:
        (encoding,) = struct.unpack("<I", body)
        return Type(kind, name, size=number, signed=bool(encoding >> 24 & 1))
    if kind == ARRAY:
        element, _, count = struct.unpack("<III", body)
        return Type(kind, name, type_id=element, count=count)
    if kind in (STRUCT, UNION):
        return Type(kind, name, size=number, members=_members(body, flag, strings))
    if kind in (ENUM, ENUM64):
        return Type(kind, name, size=number, values=_values(kind, body, flag, strings))
    if kind == DATASEC:
        return Type(kind, name, size=number, variables=tuple(struct.iter_unpack("<III", body)))
    if kind == FLOAT:
        return Type(kind, name, size=number)
    if kind == DECL_TAG:
        return Type(kind, name, type_id=number, component=struct.unpack("<i", body)[0])
    return Type(kind, name, type_id=number)


def _members(body: bytes, flag: int, strings: bytes) -> tuple[Member, ...]:
    members = []
    for name, type_id, offset in struct.iter_unpack("<III", body):
        bits = offset >> 24 if flag else 0
        bit_offset = offset & 0xFFFFFF if flag else offset
        members.append(Member(_string(strings, name), type_id, bit_offset, bits))
    return tuple(members)


def _values(kind: int, body: bytes, flag: int, strings: bytes) -> tuple[tuple[str, int], ...]:
    if kind == ENUM64:
        return tuple(
            (_string(strings, name), low | high << 32)
            for name, low, high in struct.iter_unpack("<III", body)
        )
    layout = "<Ii" if flag else "<II"
    return tuple(
        (_string(strings, name), value) for name, value in struct.iter_unpack(layout, body)
    )
