"""OTLP in files, for sites without a receiver: JSON lines and length-delimited protobuf.

Both are what the collector's file exporter writes (``format: json`` and ``format: proto`` of
``fileexporter`` in opentelemetry-collector-contrib), so that its file receivers read them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING

from workbench.errors import ExportError
from workbench.formats.otlp.request import Request
from workbench.formats.otlp.signals import SIGNALS, known, require

if TYPE_CHECKING:
    from workbench.recording import Recording

_LENGTH = struct.Struct(">I")  # "an unsigned 32 bit integer", big-endian


def held_signal(rec: Recording) -> str | None:
    """Return the signal that a file of one holds where none is named, None if there is none.

    It is the first that the session has anything of; of an imported one its profiles come first:
    the traces tell no more of it than that there were threads.
    """
    from workbench.formats.otlp.encode import requests

    imported = "imported" in rec.manifest.target
    for signal in sorted(SIGNALS, key=lambda name: imported and name != "profiles"):
        if any(request.items for request in requests(rec, (signal,))):
            return signal
    return None


def write_json_lines(requests: Iterable[Request], file: IO[bytes]) -> int:
    """Write each request as a line of OTLP JSON.

    The keys of a line tell its signal, so that one file may hold several.

    Parameters
    ----------
    requests : iterable of Request
        Taken and written one by one.
    file : binary file
        Open for writing.

    Returns
    -------
    int
        Items written.

    Raises
    ------
    ExportError
        A request cannot be said in JSON.
    """
    require("google.protobuf", "opentelemetry.proto")
    from workbench.formats.otlp.transcoding import json as otlp_json

    items = 0
    for request in requests:
        file.write(otlp_json.encode(known(request.signal), request.body) + b"\n")
        items += request.items
    return items


def write_delimited(requests: Iterable[Request], file: IO[bytes]) -> int:
    """Write each request as protobuf after its length, four bytes with the highest first.

    Parameters
    ----------
    requests : iterable of Request
        Taken and written one by one; all of one signal.
    file : binary file
        Open for writing.

    Returns
    -------
    int
        Items written.

    Raises
    ------
    ExportError
        There are several signals: protobuf does not say which is which, so nobody could read
        the file.
    """
    items, signal = 0, None
    for request in requests:
        signal = signal or known(request.signal).name
        if request.signal != signal:
            raise ExportError(
                f"A file of length-delimited protobuf cannot hold {signal} and {request.signal}.",
                why="The messages do not say of which signal they are.",
                advice="Write a file for each signal, or JSON lines.",
            )
        file.write(_LENGTH.pack(len(request.body)))
        file.write(request.body)
        items += request.items
    return items


def read_delimited(file: IO[bytes], limit: int = 1 << 26) -> Iterator[bytes]:
    """Read what :func:`write_delimited` wrote, message by message.

    Parameters
    ----------
    file : binary file
        Open for reading.
    limit : int
        Bytes that a message may have; default 64 MiB.

    Raises
    ------
    ExportError
        The file is cut short, or claims a message that is too large.
    """
    while head := file.read(_LENGTH.size):
        size = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
        if size > limit:
            raise ExportError(f"A message claims {size:,} bytes; at most {limit:,} are read.")
        body = file.read(size)
        if len(head) < _LENGTH.size or len(body) < size:
            raise ExportError("The file ends in the middle of a message.")
        yield body
