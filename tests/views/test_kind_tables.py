from __future__ import annotations

import pytest
from kind_rows import recording

from workbench.frames.needs import has
from workbench.kinds import all_kinds
from workbench.views.kind_tables import OWN_VIEWS, SUMMARIES


def test_every_kind_is_shown_somewhere():
    assert set(SUMMARIES) | set(OWN_VIEWS) == set(all_kinds())
    assert not set(SUMMARIES) & set(OWN_VIEWS)


@pytest.mark.parametrize("kind", SUMMARIES)
def test_tables_have_the_columns_that_are_shown(kind):
    rec = recording()
    for part in SUMMARIES[kind][1]:
        columns = part.frame(rec).columns
        assert set(part.columns) <= set(columns), part.caption
        assert not part.bar or part.bar in (part.columns or columns), part.caption


@pytest.mark.parametrize("kind", [k for k in all_kinds() if all_kinds()[k].aggregation])
def test_counts_made_in_the_kernel_have_a_table(kind):
    assert kind in OWN_VIEWS or any(part.counted for part in SUMMARIES[kind][1])


def test_allocations_are_told_by_python_where_there_is_some():
    rec = recording()
    assert not has(rec, "stacks")
    leaks = SUMMARIES["memory"][1][1].frame(rec)
    assert leaks["where"].to_list() == [None]
    assert "stack_id" not in leaks.columns
