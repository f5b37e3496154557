"""What is measured exists: tables, columns and conditions are those of the kinds."""

import polars as pl
import pytest
from network_rows import table

from workbench.formats.otlp.metrics.conventions import ADDED
from workbench.formats.otlp.metrics.instruments import INSTRUMENTS
from workbench.kinds import all_kinds


@pytest.mark.parametrize("each", INSTRUMENTS, ids=lambda each: each.name)
def test_columns_exist(each):
    assert each.table in all_kinds()
    frame = table(each.table, []).with_columns(pl.selectors.categorical().cast(pl.String))
    made = ADDED.get(each.table, ())
    assert {*each.values, *each.by} <= {*frame.columns, *made, "errno"}
    if each.where:
        assert frame.filter(pl.sql_expr(each.where)).is_empty()
    assert each.form == "histogram" or each.spans is None


def test_names_are_unique():
    names = [each.name for each in INSTRUMENTS]
    assert len(set(names)) == len(names)
