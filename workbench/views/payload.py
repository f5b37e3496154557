"""A flame tree as bytes for the browser: small, and decoded without parsing numbers.

Layout, inside gzip: length of the header (u32, little endian); the header, JSON in UTF-8; then
the columns in the order of the header's ``planes``: ``[name, number of bytes per value]``. A
column is stored as byte planes (all lowest bytes first), which compress better than whole
numbers. Left edges, parents and self weights follow from the number of children and the widths,
because nodes are in breadth-first order. Read by ``static/flame_data.js``.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.frames.flame import KINDS, FlameTree
from workbench.views.html import pack

MAX_EXACT = 2**53
"""Weights up to here are exact in JavaScript."""


def payload(tree: FlameTree) -> bytes:
    """Return the tree as gzip for ``static/flame_data.js``."""
    labels, label = _labels(tree)
    children = np.bincount(tree.parent[1:], minlength=len(tree))
    width = np.minimum(tree.width, MAX_EXACT).astype(np.uint64)
    columns = {"label": label, "width": width, "children": children.astype(np.uint64)}
    planes = {name: _planes(column) for name, column in columns.items()}
    header = {
        "n": len(tree),
        "names": tree.names,
        "modules": tree.modules,
        "kinds": KINDS,
        "labels": labels,
        "levels": tree.level_offsets.tolist(),
        "unit": tree.unit,
        "period_ns": tree.period_ns,
        "planes": [[name, len(column)] for name, column in planes.items()],
    }
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    parts = [len(text).to_bytes(4, "little"), text]
    parts += [plane.tobytes() for column in planes.values() for plane in column]
    return pack(b"".join(parts))


def _labels(tree: FlameTree) -> tuple[dict[str, list[int]], NDArray[np.uint64]]:
    """Return the distinct (name, module, kind), most used first, and which each node has."""
    key = tree.name.astype(np.uint64) * len(tree.modules) + tree.module
    key = key * len(KINDS) + tree.kind
    unique, inverse, counts = np.unique(key, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    rank = np.empty(len(order), np.uint64)
    rank[order] = np.arange(len(order), dtype=np.uint64)
    rest, kind = np.divmod(unique[order], np.uint64(len(KINDS)))
    name, module = np.divmod(rest, np.uint64(len(tree.modules)))
    labels: dict[str, Any] = {"name": name, "module": module, "kind": kind}
    return {field: column.tolist() for field, column in labels.items()}, rank[inverse]


def _planes(column: NDArray[np.uint64]) -> list[NDArray[np.uint8]]:
    """Return the bytes of a column, lowest first, as many as its largest value needs."""
    most = int(column.max(initial=0))
    count = max(1, (most.bit_length() + 7) // 8)
    return [(column >> np.uint64(8 * plane)).astype(np.uint8) for plane in range(count)]
