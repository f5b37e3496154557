"""JSON of files that are imported: it becomes objects, of which there may not be too many."""

from __future__ import annotations

import json
from typing import Any

from workbench.errors import ImportFormatError
from workbench.profiles.content import too_large

MAX_MEMORY = 3 << 30
"""Bytes that the objects of one text may take."""

_COSTS = {b"{": 200, b"[": 88, b",": 64}
"""Bytes that what begins with each takes in CPython 3.11, with its place in a list: a dict of one
to five keys, a list, a short text or a float."""


def parsed(text: bytes) -> Any:
    """Return what a JSON text says.

    Raises
    ------
    ImportFormatError
        It is none, is nested too deep, or would take more than :data:`MAX_MEMORY`: ``[],[],...``
        takes 30 times its length.
    """
    if sum(text.count(mark) * cost for mark, cost in _COSTS.items()) > MAX_MEMORY:
        raise too_large(f"What its JSON says would take more than {MAX_MEMORY:,} bytes.")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ImportFormatError("The file is no JSON.", why=str(error)[:200]) from error
