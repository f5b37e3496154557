"""What samples of OTLP's profiles have besides their stack: attributes and links, as columns."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from workbench.formats.otlp.reading.messages import Integers, damaged
from workbench.formats.otlp.reading.read_dictionary import Dictionaries
from workbench.profiles.text_columns import column, taken

MAX_LABELS = 64
"""Attributes of different keys."""
_NUMBERS = {
    "process.pid": ("pid", (1 << 32) - 1),
    "thread.id": ("tid", (1 << 32) - 1),
    "cpu.logical_number": ("cpu", (1 << 16) - 1),
}
"""Attributes that sessions have columns for, and the largest value of these."""
_TEXTS = {"thread.name": "comm"}
_TAKEN = ("ts", "cpu", "pid", "tid", "comm", "trace_id", "span_id")


def labels(
    found: Dictionaries, flat: Integers, owner: Integers, count: int
) -> tuple[dict[str, Any], dict[str, str], dict[str, str]]:
    """Return the attributes of samples.

    Parameters
    ----------
    found : Dictionaries
    flat, owner : numpy.ndarray
        int64, rows of attributes, and the sample that has each.
    count : int
        Number of samples.

    Returns
    -------
    dict of str to pyarrow.Array
        Integers (int64) or texts, null where a sample has none.
    dict of str to str
        Units, by column.
    dict of str to str
        The keys that they had, by column.

    Raises
    ------
    ImportFormatError
        They are of too many different keys.
    """
    import pyarrow as pa

    coded = found.texts(found.keys).dictionary_encode()
    names, code = coded.dictionary.to_pylist(), np.asarray(coded.indices)
    used = np.unique(code[flat])
    if len(used) > MAX_LABELS:
        raise damaged(f"its samples have attributes of more than {MAX_LABELS} keys")
    columns: dict[str, Any] = {}
    units: dict[str, str] = {}
    keys: dict[str, str] = {}
    for number in used.tolist():
        chosen = code[flat] == number
        rows, place = np.unique(flat[chosen], return_inverse=True)
        values = _column([found.values[row] for row in rows.tolist()])
        at = np.full(count, -1)
        at[owner[chosen]] = place
        name = _name(names[number], values, columns)
        if name:
            is_text = pa.types.is_string(values.type)
            columns[name] = taken(values, at) if is_text else values.take(pa.array(at, mask=at < 0))
            keys[name] = names[number]
            unit = found.text(int(found.units[rows[0]]))
            units |= {name: unit} if unit else {}
    return columns, units, keys


def links(found: Dictionaries, rows: Integers) -> dict[str, Any]:
    """Return the spans that samples link to, as ids in hex; nothing where none does."""
    if not (rows >= 0).any():
        return {}
    given = {"trace_id": found.trace_ids, "span_id": found.span_ids}
    return {name: taken(column(ids), rows) for name, ids in given.items()}


def _column(values: list[Any]) -> Any:
    """Return integers if all are, else texts."""
    import pyarrow as pa

    if all(type(each) is int for each in values):
        return pa.array(values, pa.int64())
    return column([plain(each) for each in values])


def plain(value: Any) -> str | None:
    """Return a value as text: of what is none, as JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _name(key: str, values: Any, used: dict[str, Any]) -> str:
    """Return what the column of an attribute is called, "" where it has no key."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if key in _NUMBERS and pa.types.is_integer(values.type):
        name, most = _NUMBERS[key]
        ends = pc.min_max(values).as_py()
        if ends["min"] >= 0 and ends["max"] <= most:
            return name
    if key in _TEXTS and pa.types.is_string(values.type):
        return _TEXTS[key]
    name = f"{key}_label" if key in _TAKEN else key
    unique, number = name, 2
    while unique in used:
        unique, number = f"{name}_{number}", number + 1
    return unique
