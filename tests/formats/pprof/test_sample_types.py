from __future__ import annotations

import polars as pl
from fake_recording import FakeRecording

from workbench.formats.pprof.sample_types import LabelType, labels_of


def test_labels_are_those_of_columns_that_are_there():
    rows = pl.DataFrame({"tid": [1], "comm": ["a"], "size": [5]})
    rec = FakeRecording(memory=rows)
    assert labels_of(rec, "memory") == (
        LabelType("thread", "", "comm"),
        LabelType("tid", "", "tid"),
    )
