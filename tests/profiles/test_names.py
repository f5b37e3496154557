from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.kinds import all_kinds
from workbench.profiles.names import SHARED, TAKEN, column_of, safe_table, table_of, unit_of
from workbench.schema import SIDE_TABLES
from workbench.store.checks import NAME


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["samples", "cpu"], "cpu"),
        (["cpu"], "cpu"),
        (["events", "off_cpu"], "offcpu"),
        (["offcpu_events", "offcpu_blocked", "offcpu"], "offcpu"),
        (["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"], "heap"),
        (["contentions", "delay"], "contention"),
        (["goroutine"], "goroutine"),
        (["wall"], "wall"),
        (["syscalls", "syscalls_latency"], "syscalls_latency"),
        (["memory"], "memory_samples"),
        (["frames"], "frames_samples"),
        (["../../etc"], "etc"),
        ([""], "samples"),
        (["µs"], "s"),
        (["9 lives"], "samples_9_lives"),
        ([], "samples"),
    ],
)
def test_tables_are_called_by_what_they_hold(values, expected):
    assert table_of(values) == expected


def test_the_default_value_names_the_table():
    assert table_of(["a", "b"], "a") == "a"


@given(st.text())
def test_any_text_makes_a_name(text):
    name = safe_table(text)
    assert NAME.fullmatch(name)
    assert name not in SIDE_TABLES
    assert name not in set(all_kinds()) - set(SHARED)
    column = column_of(text, [])
    assert NAME.fullmatch(column)
    assert column not in TAKEN
    assert column_of(text, [column]) != column


def test_columns_do_not_meet():
    assert column_of("cpu", [], "nanoseconds") == "cpu_nanoseconds"
    assert column_of("cpu", ["cpu_nanoseconds"], "nanoseconds") == "cpu_nanoseconds_2"
    assert column_of("a b", ["a_b"], "") == "a_b_value"


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("nanoseconds", ("ns", 1)),
        ("Milliseconds", ("ns", 10**6)),
        ("count", ("1", 1)),
        ("", ("1", 1)),
        ("kilobytes", ("bytes", 1024)),
        ("bytes", ("bytes", 1)),
        ("GCU", ("GCU", 1)),
    ],
)
def test_units(unit, expected):
    assert unit_of(unit) == expected
