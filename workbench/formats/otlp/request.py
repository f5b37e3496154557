"""What is sent at once: one serialised request of one signal."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """A serialised ``Export…ServiceRequest``.

    Parameters
    ----------
    signal : str
        ``traces``, ``metrics``, ``logs`` or ``profiles``.
    items : int
        Spans, data points, log records or samples in it.
    body : bytes
        The message as protobuf, not compressed.
    """

    signal: str
    items: int
    body: bytes
