"""Partial success: what a receiver that took a request says of parts of it."""

from __future__ import annotations

from typing import Any

from workbench.formats.otlp.request import Request
from workbench.formats.otlp.sending.answer import shorten
from workbench.formats.otlp.signals import Signal, items_of, known, weigh


def partial_success(signal: Signal, answer: Any) -> tuple[int, str]:
    """Read the partial success of an ``Export…ServiceResponse``.

    Returns
    -------
    rejected : int
        What the receiver rejected, in its unit; never negative.
    message : str
        Why, or a warning when nothing was rejected.
    """
    partial = answer.partial_success
    return max(0, getattr(partial, signal.rejected)), shorten(partial.error_message)


def rejected_items(request: Request, rejected: int) -> int:
    """Return how many items of a request were rejected.

    Receivers count spans, data points and log records as we do. Of profiles they count
    profiles, and do not say which: those with most samples are taken then, so that nothing
    counts as delivered which may not be.

    Parameters
    ----------
    request : Request
        What was sent.
    rejected : int
        What the receiver counted.

    Returns
    -------
    int
        Between 0 and ``request.items``.
    """
    if request.signal != "profiles" or not rejected:
        return min(rejected, request.items)
    signal = known("profiles")
    parents = [signal.request().FromString(request.body)]
    for field in signal.levels[:-1]:
        parents = [child for parent in parents for child in items_of(parent, field)]
    if rejected >= len(parents):
        return request.items
    sizes = sorted(
        (sum(weigh("profiles", sample) for sample in profile.samples) for profile in parents),
        reverse=True,
    )
    return min(sum(sizes[:rejected]), request.items)
