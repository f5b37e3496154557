"""Values and labels of a pprof profile as the columns of samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.formats.pprof.decode import damaged
from workbench.formats.pprof.parse import MAX_STRINGS
from workbench.profiles.names import unit_of
from workbench.profiles.profile import Samples, Value
from workbench.profiles.text_columns import taken

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.formats.pprof.parse import Parsed

MAX_LABELS = 64
"""Labels of different keys."""

_BITS = MAX_STRINGS.bit_length()
_IDS = ("pid", "tid")
_THREAD = ("thread", "comm")
"""Labels that name the thread; the first one that is there does."""


def samples_of(parsed: Parsed, stacks: NDArray[np.uint32]) -> Samples:
    """Return the samples of a profile.

    Parameters
    ----------
    parsed : Parsed
    stacks : numpy.ndarray
        uint32, the stack of each sample.

    Raises
    ------
    ImportFormatError
        There are too many different labels.
    """
    values = tuple(
        Value(parsed.text(name), parsed.text(unit), parsed.values[:, number])
        for number, (name, unit) in enumerate(parsed.types)
    )
    default = parsed.text(parsed.header["default_sample_type"])
    columns, units, keys = _labels(parsed)
    period_type, period = parsed.period_type, parsed.header["period"]
    facts: dict[str, Any] = {"default_type": default, "keys": keys}
    if period or period_type != (0, 0):
        facts["period"] = [*(parsed.text(each) for each in period_type), period]
    unit, factor = unit_of(parsed.text(period_type[1]))
    timed = unit == "ns" and 0 < period * factor < 1 << 63
    return Samples(
        stacks,
        values,
        columns,
        units,
        default=default,
        period_ns=period * factor if timed else None,
        facts=facts,
    )


def _labels(parsed: Parsed) -> tuple[dict[str, Any], dict[str, str], dict[str, str]]:
    """Return columns, their units, and the keys that they had as labels ("" for a copy)."""
    labels = parsed.labels
    is_text = labels["str"] > 0
    told = is_text | (labels["num"] != 0) | (labels["num_unit"] > 0)
    unit = np.where(is_text, 0, labels["num_unit"])
    kinds = labels["key"] << 2 * _BITS | is_text << _BITS | unit
    distinct, kind = np.unique(kinds, return_inverse=True)
    if len(distinct) > MAX_LABELS:
        raise damaged(f"it has labels of more than {MAX_LABELS} kinds")
    columns: dict[str, Any] = {}
    units: dict[str, str] = {}
    keys: dict[str, str] = {}
    for number, (key, text, measure) in enumerate(map(_kind_of, distinct.tolist())):
        rows = np.flatnonzero((kind == number) & told)
        if not len(rows):
            continue
        values = _values(parsed, rows, bool(text))
        name = _name(parsed.text(key), values, bool(text or measure), columns)
        columns[name], keys[name] = values, parsed.text(key)
        if measure:
            units[name] = parsed.text(measure)
    _name_threads(columns, keys)
    return columns, units, keys


def _kind_of(number: int) -> tuple[int, int, int]:
    """Return key, whether the label is a text, and unit."""
    rest = number & ((1 << 2 * _BITS) - 1)
    return number >> 2 * _BITS, rest >> _BITS, rest & ((1 << _BITS) - 1)


def _values(parsed: Parsed, rows: NDArray[np.int64], text: bool) -> Any:
    """Return the values of some labels by sample: null where it has none, a list for several."""
    import pyarrow as pa

    owner = parsed.labels["sample"][rows]
    raw = parsed.labels["str" if text else "num"][rows]
    given = taken(parsed.strings, raw).cast(pa.string()) if text else pa.array(raw)
    samples = len(parsed.values)
    counts = np.bincount(owner, minlength=samples)
    if counts.max() == 1:
        place = np.full(samples, -1)
        place[owner] = np.arange(len(rows))
        return given.take(pa.array(place, mask=place < 0))
    ends = np.concatenate([[0], np.cumsum(counts)])
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), given)


def _name(key: str, values: Any, other: bool, used: dict[str, Any]) -> str:
    """Return what a label's column is called: as its key, unless that means something else."""
    import pyarrow as pa
    import pyarrow.compute as pc

    name = key
    if key in _IDS and not other and pa.types.is_integer(values.type):
        ends = pc.min_max(values).as_py()
        if ends["min"] >= 0 and ends["max"] < 1 << 32 and key not in used:
            return key
    if key in (*_IDS, "ts", "cpu", "comm"):
        name = f"{key}_label"
    unique, number = name, 2
    while unique in used:
        unique, number = f"{name}_{number}", number + 1
    return unique


def _name_threads(columns: dict[str, Any], keys: dict[str, str]) -> None:
    """Add the names of threads under the name that they have in every session."""
    import pyarrow as pa

    for key in _THREAD:
        for name, values in columns.items():
            if keys[name] == key and pa.types.is_string(values.type):
                columns["comm"], keys["comm"] = values, ""
                return
