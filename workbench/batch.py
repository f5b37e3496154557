"""Records of a buffer → Arrow record batches: one pass per column, no Python per event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.addresses import address_texts
from workbench.byte_texts import byte_texts
from workbench.dns_names import name_texts
from workbench.event_texts import NAMES, TEXTS
from workbench.schema import TYPEDEFS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.probe.layout import Layout


Encoder = Callable[[Any], Any]
"""Array of the numbers of a typedef to a pyarrow array of their texts."""


class Batcher:
    """Turns records of one layout into record batches.

    Parameters
    ----------
    layout : Layout
        Of the event's C struct.
    schema : pyarrow.Schema
        Columns to make: fields of the layout by name, or ``extra`` columns.
    clock_offset : int
        Nanoseconds from the boot clock to UTC, added to ``wb_time_ns`` fields.
    encoders : mapping of str to callable, optional
        By typedef, what turns its numbers into texts: takes their array, returns a pyarrow array.
    """

    def __init__(
        self,
        layout: Layout,
        schema: Any,
        clock_offset: int,
        encoders: Mapping[str, Encoder] | None = None,
    ) -> None:
        self.schema = schema
        self.clock_offset = clock_offset
        self._times = {
            field.name
            for field in layout.fields
            if field.typedef in TYPEDEFS and TYPEDEFS[field.typedef].arrow == "timestamp"
        }
        known: dict[str, Encoder] = {
            typedef: partial(encoded, texts=texts) for typedef, texts in TEXTS.items()
        }
        known |= {typedef: partial(named, texts=texts) for typedef, texts in NAMES.items()}
        known |= _TEXT_ENCODERS | dict(encoders or {})
        self._texts = {f.name: known[f.typedef] for f in layout.fields if f.typedef in known}

    def batch(self, records: NDArray[Any], **extra: NDArray[Any]) -> Any:
        """Make a batch of records.

        Parameters
        ----------
        records : structured array
            May be a strided view of a ring buffer: each column is copied out of it.
        **extra : array
            Columns that are not in the records.

        Returns
        -------
        pyarrow.RecordBatch
        """
        import pyarrow as pa

        arrays = []
        for field in self.schema:
            name = field.name
            values = extra[name] if name in extra else _contiguous(records, name)
            if name in self._texts and name not in extra:
                values = self._texts[name](values)
            if name in self._times:
                values = values.view(np.int64) + self.clock_offset
            arrays.append(column(values, field.type))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def _contiguous(records: NDArray[Any], name: str) -> NDArray[Any]:
    """Copy a field out of records.

    An array of words goes as one opaque item of its size: numpy then copies an item at a time
    instead of a word, in half the time.
    """
    assert records.dtype.fields is not None
    kind, offset = records.dtype.fields[name][:2]
    if kind.subdtype is None:
        return np.ascontiguousarray(records[name])
    whole = np.dtype(
        {
            "names": [name],
            "formats": [f"V{kind.itemsize}"],
            "offsets": [offset],
            "itemsize": records.dtype.itemsize,
        }
    )
    base, shape = kind.subdtype
    copied = np.ascontiguousarray(records.view(whole)[name])
    return copied.view(base).reshape(len(records), *shape)


def encoded(codes: NDArray[Any], texts: tuple[str, ...]) -> Any:
    """Return codes with their texts as a pyarrow dictionary array; unknown ones get the last."""
    import pyarrow as pa

    known = np.minimum(codes, len(texts) - 1).astype(np.int8)
    return pa.DictionaryArray.from_arrays(pa.array(known), pa.array(texts))


def named(codes: NDArray[Any], texts: tuple[str, ...]) -> Any:
    """Return the texts of codes as a pyarrow string array; unknown ones get the last."""
    import pyarrow as pa

    known = np.minimum(codes, len(texts) - 1)
    return pa.array(texts, pa.string()).take(pa.array(known))


_TEXT_ENCODERS: dict[str, Encoder] = {
    "wb_address": address_texts,
    "wb_dns_name": name_texts,
    "wb_text": byte_texts,
}
"""Of the typedefs that are arrays of bytes, shape (rows, bytes)."""


def column(values: NDArray[Any], kind: Any) -> Any:
    """Return a pyarrow array of type ``kind`` over a contiguous copy of ``values``.

    Parameters
    ----------
    values : array of shape (n,) or, for fixed-size lists, (n, length)
        Of the width that ``kind`` stores. Bytes become strings, cut at the first NUL. A pyarrow
        array is returned as it is.
    """
    import pyarrow as pa

    if isinstance(values, pa.Array):
        return values
    if values.dtype.kind == "S":
        text = [v.split(b"\0", 1)[0].decode("utf-8", "replace") for v in values.tolist()]
        return pa.array(text, kind)
    flat = np.ascontiguousarray(values)
    buffer = pa.py_buffer(flat)
    if pa.types.is_fixed_size_list(kind):
        inner = pa.Array.from_buffers(kind.value_type, flat.size, [None, buffer])
        return pa.FixedSizeListArray.from_arrays(inner, type=kind)
    return pa.Array.from_buffers(kind, len(flat), [None, buffer])
