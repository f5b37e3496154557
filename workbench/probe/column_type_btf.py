"""BTF types → :mod:`workbench.probe.column_type`: of objects, of BCC's programs, of loaded maps."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import ObjectFormatError
from workbench.probe import btf as b
from workbench.probe.clib import U, lib
from workbench.probe.column_type import (
    Array,
    Bits,
    ColumnType,
    Member,
    Opaque,
    Scalar,
    Struct,
    Text,
)

if TYPE_CHECKING:
    from workbench.probe.btf import Btf, Type

MAX_DEPTH = 16
"""Structs in structs; types of programs have a few."""
MAX_SIZE = 1 << 20

_NUMBERS = (1, 2, 4, 8)


def column_type(  # noqa: PLR0911 - one way out per kind
    btf: Btf, type_id: int, depth: int = 0
) -> ColumnType:
    """Return a type of an object's BTF.

    Raises
    ------
    ObjectFormatError
        It is not complete, or too large.
    """
    found, _ = btf.resolve(type_id)
    if depth > MAX_DEPTH:
        raise ObjectFormatError(f"Type {found.name} is nested too deeply.")
    if found.kind == b.ARRAY:
        return _array(btf, found, depth)
    if found.kind in (b.STRUCT, b.UNION):
        return _struct(btf, found, depth)
    if found.kind == b.PTR:
        return Scalar(np.dtype("<u8"))
    if found.kind in (b.ENUM, b.ENUM64) and found.size in _NUMBERS:
        # A negative enumerator makes an enum signed. clang before 15 does not say so: small ones
        # are told by their upper half.
        signed = any(value < 0 or value >> 16 == 0xFFFF for _, value in found.values)
        return Scalar(np.dtype(f"<{'i' if signed else 'u'}{found.size}"))
    if found.kind == b.FLOAT and found.size in (4, 8):
        return Scalar(np.dtype(f"<f{found.size}"))
    if found.kind == b.INT and found.size in _NUMBERS:
        if found.name in ("_Bool", "bool"):
            return Scalar(np.dtype("?"))
        return Scalar(np.dtype(f"<{'i' if found.signed else 'u'}{found.size}"))
    if found.kind in (b.INT, b.FLOAT) and 0 < found.size <= MAX_SIZE:
        return Opaque(found.size)
    raise ObjectFormatError(
        f"Type {found.name or 'void'} is not complete.",
        advice="Define the struct in the program: its layout comes from there.",
    )


def _array(btf: Btf, found: Type, depth: int) -> ColumnType:
    inner, _ = btf.resolve(found.type_id)
    if found.count * btf.size(found.type_id) > MAX_SIZE:
        raise ObjectFormatError(f"An array of {found.count} elements is too large for a column.")
    if inner.kind == b.INT and inner.size == 1 and inner.name == "char":
        return Text(found.count)
    return Array(column_type(btf, found.type_id, depth + 1), found.count)


def _struct(btf: Btf, found: Type, depth: int) -> Struct:
    if found.size > MAX_SIZE:
        raise ObjectFormatError(f"{found.name} has {found.size} bytes: too large for a row.")
    members: list[Member] = []
    for member in found.members:
        offset = member.bit_offset // 8
        if member.bits:
            inner, _ = btf.resolve(member.type_id)
            made: ColumnType = Bits(member.bit_offset % 8, member.bits, inner.signed)
        else:
            made = column_type(btf, member.type_id, depth + 1)
        if offset + made.size > found.size:
            raise ObjectFormatError(f"{found.name}.{member.name} lies outside its struct.")
        if not made.size:  # a flexible array: no column
            continue
        if member.name:
            members.append(Member(member.name, offset, made))
        elif isinstance(made, Struct):  # C11: members of an unnamed struct are the parent's
            members += [Member(m.name, offset + m.offset, m.type) for m in made.members]
    if len({member.name for member in members}) != len(members):
        raise ObjectFormatError(f"{found.name} has two members of one name.")
    return Struct(found.name, found.size, tuple(members), found.kind == b.UNION)


def by_name(btf: Btf, name: str) -> ColumnType:
    """Return ``struct NAME``, ``union NAME``, or what a typedef of that name stands for.

    Raises
    ------
    ObjectFormatError
    """
    for kind in (b.STRUCT, b.UNION, b.TYPEDEF):
        if (kind, name) in btf.by_name:
            return column_type(btf, btf.by_name[kind, name])
    raise ObjectFormatError(f"There is no type {name} in the BTF.")


def loaded_btf(number: int) -> Btf | None:
    """Return the BTF that the kernel holds under an id; None if there is none."""
    handle = lib().btf__load_from_kernel_by_id(number) if number else None
    if not handle:
        return None
    try:
        size = U()
        data = lib().btf__raw_data(handle, size)
        return b.Btf.parse(ctypes.string_at(data, size.value), "a loaded program")
    finally:
        lib().btf__free(handle)
