"""Halve a request that is too large for a receiver, by its items."""

from __future__ import annotations

from typing import Any

from workbench.formats.otlp.request import Request
from workbench.formats.otlp.sending.shrink import shrink
from workbench.formats.otlp.signals import items_of, known, weigh

_SHRUNK = 0.9
"""Halves that are both larger than this part of the whole share what makes it large."""


def halve(request: Request) -> tuple[Request, Request] | None:
    """Divide a request into two with about half of the items each.

    What surrounds the items (resource, scope, metric, profile) is in both halves where it has
    items in both; the dictionary of profiles is cut to what each half needs. The order is kept.

    Parameters
    ----------
    request : Request
        A request of any signal.

    Returns
    -------
    tuple of Request or None
        None where there is nothing to divide: one item, or halves that are hardly smaller.
    """
    signal = known(request.signal)
    message = signal.request()
    first, second = message.FromString(request.body), message.FromString(request.body)
    total = _count(first, signal.levels)
    if total < 2:
        return None
    middle = total // 2
    _keep(first, signal.levels, 0, middle)
    _keep(second, signal.levels, middle, total + 1)  # so that what is empty at the end is in it
    if request.signal == "profiles":
        try:
            shrink(first)
            shrink(second)
        except ValueError:
            return None  # it refers to what is not there; the receiver is to judge of it whole
    bodies = [first.SerializeToString(), second.SerializeToString()]
    if min(map(len, bodies)) > _SHRUNK * len(request.body):
        return None
    weights = [_weight(half, signal.name, signal.levels) for half in (first, second)]
    # Exactly what is in the first half, when `items` is what is in the whole.
    items = request.items * weights[0] // sum(weights)
    return (
        Request(request.signal, items, bodies[0]),
        Request(request.signal, request.items - items, bodies[1]),
    )


def _count(message: Any, levels: tuple[str, ...]) -> int:
    """Return the number of items below a message."""
    container = items_of(message, levels[0])
    if len(levels) == 1:
        return len(container)
    return sum(_count(child, levels[1:]) for child in container)


def _weight(message: Any, name: str, levels: tuple[str, ...]) -> int:
    """Return how many items of a report are below a message."""
    container = items_of(message, levels[0])
    if len(levels) == 1:
        return sum(weigh(name, item) for item in container)
    return sum(_weight(child, name, levels[1:]) for child in container)


def _keep(message: Any, levels: tuple[str, ...], start: int, stop: int) -> int:
    """Delete all items but those from `start` to `stop`, and what has none left.

    Returns
    -------
    int
        How many items the message had before.
    """
    container = items_of(message, levels[0])
    count = len(container)
    if len(levels) == 1:
        if count:
            del container[max(stop, 0) :]
            del container[: max(start, 0)]
        return count
    position, gone = 0, []
    for index, child in enumerate(container):
        count = _keep(child, levels[1:], start - position, stop - position)
        following = position + count
        # A message without items belongs to the half in which it stands.
        inside = start <= position < stop if not count else following > start and position < stop
        if not inside:
            gone.append(index)
        position = following
    for index in reversed(gone):
        del container[index]
    return position
