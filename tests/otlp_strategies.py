"""Messages of any protobuf type for hypothesis, by its descriptor."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor as F
from hypothesis import strategies as st

# JSON has one word for all bit patterns of NaN.
_DOUBLES = st.floats().map(lambda value: math.nan if math.isnan(value) else value)

_SCALARS = {
    F.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    F.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
    F.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    F.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
    F.CPPTYPE_DOUBLE: _DOUBLES,
    F.CPPTYPE_BOOL: st.booleans(),
    F.CPPTYPE_ENUM: st.integers(0, 5),
}


@cache
def messages(descriptor: Any, depth: int = 9) -> st.SearchStrategy[Any]:
    """Messages of a type, nested up to `depth`."""
    make = message_factory.GetMessageClass(descriptor)
    fields = [field for field in descriptor.fields if depth or field.type != F.TYPE_MESSAGE]

    @st.composite
    def build(draw: Any) -> Any:
        message = make()
        for field in draw(st.lists(st.sampled_from(fields), unique_by=id)) if fields else ():
            _fill(draw, message, field, depth)
        return message

    return build()


def _fill(draw: Any, message: Any, field: Any, depth: int) -> None:
    if field.type == F.TYPE_MESSAGE:
        values = messages(field.message_type, depth - 1)
        if field.is_repeated:
            getattr(message, field.name).extend(draw(st.lists(values, max_size=2)))
        else:
            getattr(message, field.name).CopyFrom(draw(values))
        return
    if field.type == F.TYPE_BYTES:
        values = st.binary(max_size=16)
    elif field.type == F.TYPE_STRING:
        values = st.text(max_size=8)
    else:
        values = _SCALARS[field.cpp_type]
    if field.is_repeated:
        getattr(message, field.name).extend(draw(st.lists(values, max_size=3)))
    else:
        setattr(message, field.name, draw(values))
