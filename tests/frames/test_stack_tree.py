from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from workbench.frames.stack_tree import stack_tree


@given(st.lists(st.lists(st.integers(0, 5), max_size=6), max_size=20))
def test_tree_gives_the_stacks_back(stacks):
    items = np.array([item for stack in stacks for item in stack], np.int64)
    offsets = np.concatenate([[0], np.cumsum([len(stack) for stack in stacks])]).astype(np.int64)
    tree = stack_tree(items, offsets)
    for stack, leaf in zip(stacks, tree.leaf.tolist(), strict=True):
        found = []
        while leaf != -1:
            found.append(int(tree.item[leaf]))
            assert tree.prefix[leaf] < leaf
            leaf = int(tree.prefix[leaf])
        assert found == stack
    pairs = set(zip(tree.prefix.tolist(), tree.item.tolist(), strict=True))
    assert len(pairs) == len(tree.item)  # each node once
