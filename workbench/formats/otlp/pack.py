"""Messages into requests that stay under a receiver's limit.

Traces, metrics and logs are nested alike (``opentelemetry/proto/*/v1/*.proto``): a request holds
one ``Resource…`` (field 1) with the resource (1) and one ``Scope…`` (2), which holds the scope (1)
and the items (2).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import ExportError
from workbench.formats.otlp import wire
from workbench.formats.otlp.request import Request

if TYPE_CHECKING:
    import pyarrow as pa

ITEM = 2
"""Field of the items in their scope."""
MAX_ITEMS = 8192
"""Items of a request at most, as the batch processor of OpenTelemetry's collector makes them
(``send_batch_size``): there are collectors that take more, and drop what they then cannot cut."""
_LENGTHS = 3 * 10
"""Bytes that three keys with their lengths take at most."""


class Packer:
    """Fills requests of one signal.

    Parameters
    ----------
    signal : str
        What the requests hold.
    resource, scope : bytes
        The messages ``Resource`` and ``InstrumentationScope``.
    max_bytes : int
        No request is larger.
    schema : str
        URL of the semantic conventions that the names follow.

    Raises
    ------
    ExportError
        Not even a request without items is as small as that.
    """

    def __init__(
        self, signal: str, resource: bytes, scope: bytes, max_bytes: int, schema: str = ""
    ) -> None:
        self.signal = signal
        self._before = wire.field(1, resource)
        self._scope = wire.field(1, scope)
        self._after = wire.field(3, schema) if schema else b""
        frame = len(self._before) + len(self._scope) + 2 * len(self._after) + _LENGTHS
        self.room = max_bytes - frame
        self._parts: list[bytes | memoryview] = []
        self._size = self._items = 0
        if self.room <= 0:
            raise ExportError(
                f"No request of {signal} fits into {max_bytes} bytes.",
                why=f"What names its origin alone takes {frame}.",
                advice="Allow larger requests.",
            )

    def rows(self, rows: pa.BinaryArray) -> Iterator[Request]:
        """Add messages, each a whole item; yield the requests that are full.

        Raises
        ------
        ExportError
            One item is larger than a request may be.
        """
        offsets, data = wire.buffers(rows)
        start = 0
        while start < len(rows):
            room = self.room - self._size
            stop = int(np.searchsorted(offsets, int(offsets[start]) + room, "right")) - 1
            stop = min(stop, start + MAX_ITEMS - self._items)
            if stop > start:
                low, high = int(offsets[start]), int(offsets[stop])
                self._parts.append(data[low:high].data)
                self._size += high - low
                self._items += stop - start
                start = stop
            elif self._size:
                yield self._full()
            else:
                raise _too_large(self.signal, int(offsets[start + 1] - offsets[start]), self.room)

    def item(self, data: bytes, items: int) -> Iterator[Request]:
        """Add one message that holds several items, such as a metric with its data points."""
        if len(data) > self.room:
            raise _too_large(self.signal, len(data), self.room)
        full = self._size + len(data) > self.room or self._items + items > MAX_ITEMS
        if self._size and full:
            yield self._full()
        self._parts.append(data)
        self._size += len(data)
        self._items += items

    def rest(self) -> Iterator[Request]:
        """Yield the last request, if there is anything left."""
        if self._size:
            yield self._full()

    def _full(self) -> Request:
        scope = _key(2, len(self._scope) + self._size + len(self._after))
        inner = len(scope) + len(self._scope) + self._size + len(self._after)
        whole = _key(1, len(self._before) + inner + len(self._after))
        before = (whole, self._before, scope, self._scope)
        body = b"".join((*before, *self._parts, self._after, self._after))  # copied only once
        request = Request(self.signal, self._items, body)
        self._parts, self._size, self._items = [], 0, 0
        return request


def _key(number: int, size: int) -> bytes:
    """Return what stands before a message of a size."""
    return wire.tag(number, wire.DELIMITED) + wire.varint(size)


def _too_large(signal: str, size: int, room: int) -> ExportError:
    return ExportError(
        f"One item of {signal} has {size} bytes, a request has room for {room}.",
        advice="Allow larger requests.",
    )
