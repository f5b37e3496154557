"""Attributes and links of samples as columns."""

from __future__ import annotations

import numpy as np
import pytest
from otlp_made import Made, dictionaries

from workbench.errors import ImportFormatError
from workbench.formats.otlp.reading.read_labels import labels, links, plain


def columns(*samples):
    """Return columns, units and keys of samples with these attributes."""
    made = Made()
    pairs = [
        (made.attribute(key, value, "bytes" if key == "size" else ""), number)
        for number, given in enumerate(samples)
        for key, value in given
    ]
    flat, owner = np.array(pairs, np.int64).reshape(-1, 2).T
    found, units, keys = labels(dictionaries(made), flat, owner, len(samples))
    return {name: each.to_pylist() for name, each in found.items()}, units, keys


def test_columns_of_sessions():
    found, units, keys = columns(
        [("process.pid", 5), ("thread.id", 6), ("thread.name", "a"), ("cpu.logical_number", 3)],
        [],
        [("thread.id", 7), ("size", 8)],
    )
    assert found == {
        "pid": [5, None, None],
        "tid": [6, None, 7],
        "comm": ["a", None, None],
        "cpu": [3, None, None],
        "size": [None, None, 8],
    }
    assert units == {"size": "bytes"}
    assert keys["pid"] == "process.pid"


def test_other_values():
    found, _, keys = columns(
        [("process.pid", -1), ("thread.id", "x"), ("thread.name", 5), ("ts", 1), ("k", 1)],
        [("k", True), ("m", [1, "a"])],
        [("k", 1.5), ("k", "last")],
    )
    assert found == {
        "process.pid": [-1, None, None],
        "thread.id": ["x", None, None],
        "thread.name": [5, None, None],
        "ts_label": [1, None, None],
        "k": ["1", "true", "last"],
        "m": [None, '[1, "a"]', None],
    }
    assert keys["ts_label"] == "ts"
    assert plain(None) is None


def test_too_many():
    with pytest.raises(ImportFormatError, match="more than 64 keys"):
        columns([(f"key{number}", 1) for number in range(65)])


def test_links():
    made = Made()
    made.link(b"\1" * 16, b"\2" * 8)
    found = dictionaries(made)
    assert links(found, np.array([-1, -1])) == {}
    told = links(found, np.array([-1, 1]))
    assert told["trace_id"].to_pylist() == [None, "01" * 16]
    assert told["span_id"].to_pylist() == [None, "02" * 8]
