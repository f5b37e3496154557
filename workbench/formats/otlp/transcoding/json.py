"""Requests as OTLP JSON: the JSON mapping of protobuf, with ids in hex and enums as numbers.

The rules are those of *JSON Protobuf Encoding* in the OTLP specification: names in
lowerCamelCase, 64-bit integers as decimal strings, bytes as base64 but for the ids of traces,
spans and profiles, which are hex, enums as integers. As in protobuf's own mapping, fields without
a value are left out.

The text is made of the request's own bytes, by the column (``json_columns``), so that whatever is
sent as protobuf can be sent as JSON, and both are the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from workbench.errors import ExportError
from workbench.formats.otlp.signals import Signal
from workbench.formats.otlp.transcoding.json_columns import one_object
from workbench.formats.otlp.transcoding.json_schema import plan_of
from workbench.formats.otlp.transcoding.wire_fields import PADDING
from workbench.formats.otlp.transcoding.wire_varints import Irregular

MAX_BYTES = 1 << 27
"""Bytes of a request at most: a text is 15 times as long at worst, and a column holds 2 GiB."""


def encode(signal: Signal, body: bytes) -> bytes:
    """Return a request in OTLP JSON.

    Parameters
    ----------
    signal : Signal
        What it is of.
    body : bytes
        The request as protobuf.

    Returns
    -------
    bytes
        One JSON object in UTF-8 without line breaks.

    Raises
    ------
    ExportError
        The bytes are no such request, larger than :data:`MAX_BYTES`, or it has fields which the
        installed opentelemetry-proto does not know: JSON has no place for them, so they would
        be lost.
    """
    if len(body) > MAX_BYTES:
        raise ExportError(
            f"This request of {signal.name} has {len(body):,} bytes, too many for JSON.",
            why=f"At most {MAX_BYTES:,} are written at once.",
            advice="Make smaller requests: max_bytes=.",
        )
    request = signal.request()
    try:
        return _encoded(request, body)
    except Irregular:
        pass
    try:
        return _encoded(request, _regular(signal, request, body))
    except Irregular:
        raise ExportError(
            f"This request of {signal.name} cannot be said in JSON.",
            why="Its messages are nested too deeply.",
        ) from None


def _encoded(request: Any, body: bytes) -> bytes:
    data = np.frombuffer(body + PADDING, np.uint8)
    return b"".join(one_object(plan_of(request.DESCRIPTOR), data, 0, len(body)))


def _regular(signal: Signal, request: Any, body: bytes) -> bytes:
    """Return a request as protobuf's classes write it.

    Protobuf permits much that they do not write: padded numbers, fields in parts, twice or not
    packed.
    """
    try:
        message = request.FromString(body)
    except DecodeError as error:
        raise ExportError(f"This is no request of {signal.name}.", why=str(error)) from error
    known = message.ByteSize()
    message.DiscardUnknownFields()
    if message.ByteSize() != known:
        raise ExportError(
            f"The {signal.name} have fields that the installed opentelemetry-proto does not know.",
            why="In JSON they would be lost.",
            advice="Upgrade opentelemetry-proto, or send protobuf.",
        )
    regular: bytes = message.SerializeToString()
    return regular
