"""Columns of a probe's records: their types, and their values as Arrow arrays.

Fields that lie behind a pointer are null where they could not be read: each record has a bit for
each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.ctype import INT
from workbench.probing.expressions import BUILTINS
from workbench.probing.operands import NUMBER
from workbench.schema import TYPEDEFS, arrow_type

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.probing.plan import Column

MISSING = "pad_missing"
"""Field of ``struct probe_event`` with the bits."""


def dtype_of(each: Column) -> np.dtype[Any]:
    """Return the type of a column's values in the record."""
    kind = each.value.operand.type
    if each.value.read != NUMBER:
        return np.dtype(("S", each.value.length))
    letter = "i" if kind.kind == INT and kind.signed else "u"
    return np.dtype(f"<{letter}{kind.size}")


def arrow_field(each: Column) -> Any:
    """Return the Arrow field of a column, with unit and meaning."""
    import pyarrow as pa

    operand = each.value.operand
    if operand.source == "latency":
        duration = TYPEDEFS["wb_duration_ns"]
        kind, unit = arrow_type(duration.arrow), duration.unit
    else:
        kind = pa.string() if each.value.read != NUMBER else pa.from_numpy_dtype(dtype_of(each))
        unit = "1"
    return pa.field(
        each.name,
        kind,
        nullable=each.value.can_fail,
        metadata={"unit": unit, "meaning": meaning(each)},
    )


def meaning(each: Column) -> str:
    """Return what a column is: the expression, its type in C, and what that is known from."""
    operand = each.value.operand
    if operand.source in BUILTINS:
        return BUILTINS[operand.source][1]
    shown = f"{operand.text} ({operand.type.name or 'number'}"
    known = f", type by {operand.origin}" if operand.origin else ""
    when = ", read at the return" if operand.stage == "return" else ""
    null = "; null where it could not be read" if each.value.can_fail else ""
    return f"{shown}{known}{when}){null}"


def values(records: NDArray[Any], columns: Sequence[Column]) -> dict[str, Any]:
    """Return those columns that are no plain numbers, as Arrow arrays."""
    missing = records[MISSING]
    incomplete = bool(missing.any())
    found = {}
    for each in columns:
        text = each.value.read != NUMBER
        if not text and not (incomplete and each.value.can_fail):
            continue
        absent = (missing >> np.uint32(each.bit) & np.uint32(1)).astype(bool)
        data = np.ascontiguousarray(records[each.name])
        found[each.name] = text_array(data, absent) if text else _numbers(each, data, absent)
    return found


def _numbers(each: Column, data: NDArray[Any], absent: NDArray[np.bool_]) -> Any:
    import pyarrow as pa

    return pa.array(data, mask=absent).cast(arrow_field(each).type)


def text_array(data: NDArray[Any], absent: NDArray[np.bool_]) -> Any:
    """Return texts, ended by their first zero byte, as an Arrow array of strings.

    What is no UTF-8 is replaced; only batches that hold such texts are looked at one by one.
    """
    import pyarrow as pa

    raw = pa.array(data, pa.binary(), mask=absent)
    try:
        return raw.cast(pa.string())
    except pa.ArrowInvalid:
        shown = [None if v is None else v.decode("utf-8", "replace") for v in raw.to_pylist()]
        return pa.array(shown, pa.string())
