"""Types of tables as BCC describes them, where the kernel holds no BTF for them.

A description is JSON: the name of a number, or ``[NAME, [MEMBER, ...], "struct"]``, or with
"union", or "struct_packed", where padding is a member ``__pad_N``. A member is ``[NAME, TYPE]``,
with ``[COUNT, ...]`` behind it if it is an array, or a number of bits
(src/cc/json_map_decl_visitor.cc of BCC 0.26).
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

from workbench.errors import ObjectFormatError
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

_NUMBERS = {
    **{"_Bool": "?", "char": "i1", "signed char": "i1", "unsigned char": "u1"},
    **{"short": "<i2", "unsigned short": "<u2", "int": "<i4", "unsigned int": "<u4"},
    **{"long": "<i8", "unsigned long": "<u8", "long long": "<i8", "unsigned long long": "<u8"},
    **{"float": "<f4", "double": "<f8"},
}
_OPAQUE = {"__int128": 16, "unsigned __int128": 16, "long double": 16}
_PADDING = re.compile(r"__pad_(\d+|end)")


def described(text: str) -> ColumnType:
    """Return the type that a description stands for.

    Raises
    ------
    ObjectFormatError
        It is of another form than is known.
    """
    try:
        return _type(json.loads(text))[0]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ObjectFormatError(
            "BCC describes a table in a way that is not known.", why=f"{text[:200]}: {error}"
        ) from error


def _type(found: Any) -> tuple[ColumnType, int]:
    """Return a type and its alignment."""
    if isinstance(found, str):
        if found in _OPAQUE:
            return Opaque(_OPAQUE[found]), 16
        dtype = np.dtype(_NUMBERS[found])
        return Scalar(dtype), dtype.itemsize
    name, members, form = found
    return _struct(name, members, form)


def _struct(name: str, described_members: list[Any], form: str) -> tuple[Struct, int]:
    at = end = 0  # in bits
    widest = 1
    members: list[Member] = []
    for each in described_members:
        kind, align = _type(each) if each[2:] and isinstance(each[2], str) else _type(each[1])
        bits = each[2] if each[2:] and isinstance(each[2], int) else 0
        if each[2:] and isinstance(each[2], list):
            kind = _array(each[1], kind, each[2])
        align = 1 if form == "struct_packed" else align
        widest = max(widest, align)
        at = 0 if form == "union" else end
        unit = 8 * kind.size
        if not bits or at // unit != (at + bits - 1) // unit:  # it would cross a unit of its type
            at = -(-at // (8 * align)) * 8 * align if not (bits and form == "struct_packed") else at
        end = max(end, at + (bits or unit))
        if _PADDING.fullmatch(each[0]):
            continue
        if bits:
            signed = isinstance(kind, Scalar) and kind.dtype.kind == "i"
            kind = Bits(at % 8, bits, signed)
        if each[0]:
            members.append(Member(each[0], at // 8, kind))
        elif isinstance(kind, Struct):
            members += [Member(m.name, at // 8 + m.offset, m.type) for m in kind.members]
    size = -(-end // (8 * widest)) * widest
    return Struct(name, size, tuple(members), form == "union"), widest


def _array(name: Any, element: ColumnType, counts: list[int]) -> ColumnType:
    if name == "char" and len(counts) == 1:
        return Text(counts[0])
    for count in reversed(counts):
        element = Array(element, count)
    return element
