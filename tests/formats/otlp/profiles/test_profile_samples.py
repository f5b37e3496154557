"""Which rows are samples, and what they count."""

import numpy as np
import polars as pl
import pytest
from otlp_sessions import T0, written

from workbench.formats.otlp.lives import People
from workbench.formats.otlp.profiles.profile_samples import samples_of
from workbench.formats.otlp.profiles.profile_types import profile_types
from workbench.formats.otlp.profiles.symbols import Symbols


def found(rec, rows=1 << 17):
    """Samples of all profiles of a session, by name."""
    symbols = Symbols(rec, ())
    return {
        each.name: pl.concat(samples_of(rec, symbols, People(rec), each, rows))
        for each in profile_types(rec)
    }


@pytest.mark.parametrize("rows", [1, 2, 1 << 17])
def test_memory(tmp_path, rows):
    block = {"pid": 2000, "tid": 2000, "op": "alloc", "comm": "a", "stack_id": 3}
    rec = written(
        tmp_path,
        stacks=("memory",),
        memory=[
            block | {"ts": T0, "born": T0, "address": 1, "size": 100, "weight": 3},
            block | {"ts": T0 + 5, "born": T0, "address": 1, "size": 100, "op": "free"},
            block | {"ts": T0 + 6, "born": T0 + 6, "address": 1, "size": 7},
            block | {"ts": T0 + 7, "size": 4096, "op": "map"},
        ],
    )
    values = {name: frame["value"].to_list() for name, frame in found(rec, rows).items()}
    assert values == {
        "memory.alloc_objects": [3, 1],
        "memory.alloc_space": [300, 7],
        "memory.inuse_objects": [1],
        "memory.inuse_space": [7],
    }


def test_columns(tmp_path):
    row = {"ts": T0, "pid": 2000, "tid": 2000, "weight": 2, "stack_id": 0}
    rec = written(tmp_path, stacks=("cpu",), cpu=[row, row | {"tid": 9, "ts": T0 + 1}])
    (frame,) = found(rec).values()
    assert frame["ts"].to_list() == [T0, T0 + 1]
    assert frame["pid"].to_list() == [2000, 2000]
    assert frame["tid"].to_list() == [2000, 9]
    assert frame["comm"].to_list() == rec["cpu"].polars()["comm"].to_list()
    assert frame["value"].to_list() == [2, 2]
    assert frame["stack"].n_unique() == 1
    thread = People(rec).thread(np.array([2000, 9]), np.array([T0, T0 + 1]))
    assert frame["thread"].to_list() == thread.tolist()
    assert thread[1] == -1  # nobody knows it
