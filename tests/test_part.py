"""Parts of sessions as words: they are the selection that they were made of."""

from __future__ import annotations

import polars as pl
import pytest
from synthetic import make_session, selections, start_of

import workbench as wb
from workbench.errors import QueryError
from workbench.part import Part, part_of


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return wb.open(make_session(tmp_path_factory.mktemp("part") / "s.wb", rows=900))


@pytest.mark.parametrize(
    "name", ["all", "window", "open", "one ns", "far", "values", "twice", "cpu"]
)
def test_a_part_is_the_selection_that_it_was_made_of(session, name):
    chosen = selections(session)[name]
    again = part_of(chosen.selection, start_of(session)).of(session)
    for table in session.tables:
        assert again[table].polars().equals(chosen[table].polars()), table


def test_times_are_said_in_seconds_where_that_is_exact(session):
    start = start_of(session)
    said = part_of(session.window(1.5, start + 2_000_000_000).selection, start)
    assert said.window == ("1.5", "2.0")
    assert said.words() == ["--window=1.5:2.0"]
    assert part_of(session.window(None, 0.1).selection, start).words() == ["--window=:0.1"]
    far = start + 10**17 + 1  # three years later: a float has no ns there
    assert part_of(session.window(far).selection, start).window == (str(far), "")


def test_what_no_command_line_can_say(session):
    start = start_of(session)
    with pytest.raises(QueryError, match=r"polars or SQL(.|\n)*session\.save"):
        part_of(session.where(expr=pl.col("pid") > 1).selection, start)
    none = part_of(session.where(comm="a").where(comm="b").selection, start)
    assert none.where == (("comm", ()),)
    assert none.of(session)["syscalls"].num_rows == 0
    with pytest.raises(QueryError, match="no comm"):
        none.words()


@pytest.mark.parametrize(
    ("part", "what"),
    [
        (Part(window=("soon", "")), "soon"),
        (Part(window=("1", "2")), r"1\.0"),
        (Part(window=("3.0", "2.0")), "before it starts"),
        (Part(where=(("pid", ("x",)),)), "whole numbers"),
        (Part(where=(("colour", ("red",)),)), "Columns: pid, tid, comm"),
    ],
)
def test_parts_that_have_no_meaning(session, part, what):
    with pytest.raises(QueryError, match=what):
        part.of(session)
