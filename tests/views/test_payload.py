from __future__ import annotations

import gzip
import json
from typing import Any

import numpy as np
from fake_recording import stacks_of, wide_tree
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.frames.flame import flame_tree
from workbench.views.payload import payload

FRAME = st.tuples(
    st.sampled_from(["a", "b", "é</script>"]), st.sampled_from(["", "/m"]), st.just("jit")
)
SAMPLES = st.lists(
    st.tuples(st.just("x"), st.lists(FRAME, max_size=6), st.integers(1, 2**32 - 1)), max_size=20
)


def decode(data: bytes) -> dict[str, Any]:
    """The decoder of static/flame_data.js, in Python."""
    raw = gzip.decompress(data)
    length = int.from_bytes(raw[:4], "little")
    tree: dict[str, Any] = json.loads(raw[4 : 4 + length])
    at = 4 + length
    for name, planes in tree["planes"]:
        column = np.zeros(tree["n"], np.uint64)
        for plane in range(planes):
            part = np.frombuffer(raw, np.uint8, tree["n"], at)
            column |= part.astype(np.uint64) << np.uint64(8 * plane)
            at += tree["n"]
        tree[name] = column
    assert at == len(raw)
    return tree


def derive(tree: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    parent, left = np.full(tree["n"], -1), np.zeros(tree["n"])
    child = 1
    for node in range(tree["n"]):
        x = left[node]
        for _ in range(int(tree["children"][node])):
            parent[child], left[child] = node, x
            x += tree["width"][child]
            child += 1
    return parent, left


@given(SAMPLES)
@settings(deadline=None, max_examples=50)
def test_everything_can_be_derived_again(samples: list[Any]) -> None:
    tree = flame_tree(stacks_of(samples))
    decoded = decode(payload(tree))
    parent, left = derive(decoded)
    assert (parent == tree.parent).all()
    assert (left == tree.left).all()
    assert (decoded["width"] == tree.width).all()
    labels = decoded["labels"]
    names = [decoded["names"][labels["name"][label]] for label in decoded["label"]]
    assert names == [tree.label(node) for node in range(len(tree))]
    kinds = [labels["kind"][label] for label in decoded["label"]]
    assert kinds == tree.kind.tolist()
    modules = [decoded["modules"][labels["module"][label]] for label in decoded["label"]]
    assert modules == [tree.modules[index] for index in tree.module]


def test_a_million_nodes_stay_small() -> None:
    tree = wide_tree(1_000_000)
    assert len(tree) >= 1_000_000
    assert len(payload(tree)) * 4 / 3 < 6e6
