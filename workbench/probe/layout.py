"""Event struct in an object's BTF → numpy dtype → Arrow schema.

The C struct is the only definition of an event. A flexible array member at the end becomes the
``tail``: the part of a record whose length varies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import ObjectFormatError
from workbench.probe import btf as b
from workbench.schema import TYPEDEFS

if TYPE_CHECKING:
    from workbench.probe.btf import Btf, Member, Type

MAX_EVENT_BYTES = 1 << 20


@dataclass(frozen=True)
class Field:
    """A column of an event.

    Parameters
    ----------
    name : str
    typedef : str
        The ``wb_`` typedef of the C field, "" for plain types.
    unit, meaning : str
        What goes into the Arrow field's metadata.
    dtype : numpy.dtype
        Of one value; subarrays for C arrays.
    """

    name: str
    typedef: str
    unit: str
    meaning: str
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Layout:
    """The layout of a struct.

    Parameters
    ----------
    name : str
        Of the C struct.
    dtype : numpy.dtype
        Structured, with C's offsets and size.
    fields : tuple of Field
        Without those named ``pad``, and without the tail.
    tail : tuple of (str, numpy.dtype), optional
        Name and element type of a flexible array member at the end.
    """

    name: str
    dtype: np.dtype[Any]
    fields: tuple[Field, ...]
    tail: tuple[str, np.dtype[Any]] | None = None


def event_layout(btf: Btf, name: str) -> Layout:
    """Read the layout of ``struct name``.

    Raises
    ------
    ObjectFormatError
        The struct is not in the BTF, or has members that no column can hold.
    """
    key = (b.STRUCT, name)
    if key not in btf.by_name:
        raise ObjectFormatError(
            f"The object's BTF has no struct {name}.",
            why="clang leaves out structs that only functions use.",
            advice=f"Add WB_EVENT({name}); to the source and build it again.",
        )
    type_id = btf.by_name[key]
    found = btf.types[type_id]
    if not 0 < found.size <= MAX_EVENT_BYTES:
        raise ObjectFormatError(f"struct {name} has {found.size} bytes.")
    return _layout(btf, name, type_id, found)


def _layout(btf: Btf, name: str, type_id: int, found: Type) -> Layout:
    names, formats, offsets, fields = [], [], [], []
    tail = None
    for index, member in enumerate(found.members):
        dtype, typedef = _member_dtype(btf, name, member)
        if dtype is None:
            element, _ = _member_dtype(btf, name, member, element=True)
            assert element is not None
            tail = (member.name, element)
            continue
        names.append(member.name)
        formats.append(dtype)
        offsets.append(member.bit_offset // 8)
        if offsets[-1] + dtype.itemsize > found.size:
            raise ObjectFormatError(f"{name}.{member.name} lies outside its struct.")
        if not member.name.startswith("pad"):
            meaning = TYPEDEFS.get(typedef)
            text = btf.docs.get((type_id, index)) or (meaning.meaning if meaning else "")
            unit = meaning.unit if meaning else "1"
            fields.append(Field(member.name, typedef, unit, text, dtype))
    dtype = np.dtype(
        {"names": names, "formats": formats, "offsets": offsets, "itemsize": found.size}
    )
    return Layout(name, dtype, tuple(fields), tail)


def _member_dtype(
    btf: Btf, struct: str, member: Member, *, element: bool = False
) -> tuple[np.dtype[Any] | None, str]:
    """Dtype and typedef of a member; None for a flexible array."""
    if member.bits or member.bit_offset % 8:
        raise ObjectFormatError(f"{struct}.{member.name} is a bit field, which no column can hold.")
    found, typedef = btf.resolve(member.type_id)
    if found.kind != b.ARRAY:
        return scalar_dtype(found, f"{struct}.{member.name}"), typedef
    inner, inner_typedef = btf.resolve(found.type_id)
    dtype = scalar_dtype(inner, f"{struct}.{member.name}")
    if element:
        return dtype, inner_typedef
    if found.count == 0:
        return None, inner_typedef
    if inner.name == "char":
        return np.dtype(("S", found.count)), typedef
    if found.count * dtype.itemsize > MAX_EVENT_BYTES:
        raise ObjectFormatError(f"{struct}.{member.name} has {found.count} elements.")
    return np.dtype((dtype, (found.count,))), inner_typedef


def scalar_dtype(found: Type, where: str) -> np.dtype[Any]:
    """Return the numpy dtype of an integer, enum, float or pointer type.

    Raises
    ------
    ObjectFormatError
        For anything else.
    """
    if found.kind == b.PTR:
        return np.dtype("<u8")
    code = {b.INT: "i" if found.signed else "u", b.ENUM: "u", b.ENUM64: "u", b.FLOAT: "f"}
    if found.kind in code and found.size in (1, 2, 4, 8):
        return np.dtype(f"<{code[found.kind]}{found.size}")
    raise ObjectFormatError(f"{where} is of a type that no column can hold.")


def arrow_schema(layout: Layout) -> Any:
    """Return the pyarrow schema of a layout's fields, units and meanings as metadata."""
    import pyarrow as pa

    return pa.schema([_arrow_field(field) for field in layout.fields])


def _arrow_field(field: Field) -> Any:
    import pyarrow as pa

    from workbench.schema import arrow_type

    base = field.dtype.base
    if field.typedef in TYPEDEFS:
        kind = arrow_type(TYPEDEFS[field.typedef].arrow)
    elif base.kind == "S":
        kind = pa.string()
    else:
        kind = pa.from_numpy_dtype(base)
    if field.dtype.shape and not (field.typedef and pa.types.is_string(kind)):
        kind = pa.list_(kind, field.dtype.shape[0])
    metadata = {"unit": field.unit, "meaning": field.meaning}
    return pa.field(field.name, kind, nullable=False, metadata=metadata)
