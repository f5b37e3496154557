from __future__ import annotations

import polars as pl
import pytest
from synthetic import make_session

from workbench.export_panel.part_form import PartForm
from workbench.part import Part
from workbench.recording import Recording


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    path = tmp_path_factory.mktemp("part") / "s.wb"
    return Recording.open(make_session(path, rows=500))


def form(rec):
    calls = []
    made = PartForm(rec, lambda: calls.append(made.part if calls is not None else None))
    return made, calls


def test_it_starts_with_the_selection_of_the_session(rec):
    assert form(rec)[0].part == Part()
    start = rec.manifest.start_ns
    part = rec.window(1.25, start + 5_000_000_001).where(comm=["worker-0"], pid=1000, cpu=1)
    made, _ = form(part)
    assert made.part == Part(
        window=("1.25", "5.000000001"),
        where=(("pid", ("1000",)), ("comm", ("worker-0",)), ("cpu", ("1",))),
    )
    for table in rec.tables:
        assert made.part.of(made.base)[table].polars().equals(part[table].polars())
    assert made._time.value == pytest.approx((1.25, 5.0), abs=made._time.step)
    assert "cpu = 1" in made.widget.children[-1].value


def test_what_is_moved_and_marked_is_the_part(rec):
    made, calls = form(rec)
    assert (made._time.min, made._time.max) == (0, 10)
    made._time.value = (2.0, 10.0)
    assert made.part == Part(window=("2.00", ""))
    made._comms.value = ("worker-0", "bash")
    made._pids.value = ("1000",)
    assert calls == [
        Part(window=("2.00", "")),
        Part(window=("2.00", ""), where=(("comm", ("worker-0", "bash")),)),
        Part(window=("2.00", ""), where=(("pid", ("1000",)), ("comm", ("worker-0", "bash")))),
    ]
    expected = rec.window(2.0, None).where(comm=["worker-0", "bash"], pid=1000)
    assert made.part.of(rec)["syscalls"].polars().equals(expected["syscalls"].polars())
    made._time.value = (0.0, 10.0)
    made._comms.value = made._pids.value = ()
    assert made.part == Part()


def test_a_selection_can_be_widened(rec):
    made, _ = form(rec.window(3.0, 4.0))
    made._time.value = (3.0, 10.0)
    assert made.part == Part(window=("3.00", ""))


def test_conditions_stay_and_unknown_values_can_be_unmarked(rec):
    made, _ = form(rec.where(expr=pl.col("pid") > 1).where(comm="<gone>"))
    assert made.base["syscalls"].num_rows == rec.where(expr=pl.col("pid") > 1)["syscalls"].num_rows
    assert made.part.where == (("comm", ("<gone>",)),)
    made._comms.value = ()
    assert made.part == Part()
    assert "&gt;" in made.widget.children[-1].value
    assert "1" not in {value for _, value in made._pids.options}
