"""Stacks as a tree: those that begin with the same frames share them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class StackTree:
    """Stacks that share what they begin with.

    Parameters
    ----------
    prefix : numpy.ndarray
        int64, index of the node that calls this one, -1 at the root; always a lower one.
    item : numpy.ndarray
        int64, what stands at the node.
    leaf : numpy.ndarray
        int64, last node of each stack, -1 for an empty one.
    """

    prefix: NDArray[np.int64]
    item: NDArray[np.int64]
    leaf: NDArray[np.int64]


def stack_tree(items: NDArray[np.int64], offsets: NDArray[np.int64]) -> StackTree:
    """Return the tree of stacks.

    Parameters
    ----------
    items : numpy.ndarray
        int64, not negative, of all stacks one after the other, leaf first.
    offsets : numpy.ndarray
        int64: stack ``i`` is ``items[offsets[i]:offsets[i + 1]]``.
    """
    size = int(items.max(initial=0)) + 1
    leaf = np.full(len(offsets) - 1, -1, np.int64)
    prefixes, nodes, count = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 0
    left = np.flatnonzero(np.diff(offsets) > 0)
    depth = 0
    while len(left):
        keys = (leaf[left] + 1) * size + items[offsets[left + 1] - 1 - depth]
        unique, inverse = np.unique(keys, return_inverse=True)
        above, item = np.divmod(unique, size)
        prefixes.append(above - 1)
        nodes.append(item)
        leaf[left] = count + inverse
        count += len(unique)
        depth += 1
        left = left[offsets[left] + depth < offsets[left + 1]]
    return StackTree(np.concatenate(prefixes), np.concatenate(nodes), leaf)
