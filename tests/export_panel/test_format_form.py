"""Which formats and tables can be chosen, and what fits a session."""

from __future__ import annotations

import pytest
from synthetic import make_session

from workbench.export_panel.format_form import FormatForm, format_choices
from workbench.exporting import SEND
from workbench.formats import writable
from workbench.recording import Recording


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("formats")
    both = make_session(folder / "both.wb", rows=100)
    calls = make_session(folder / "calls.wb", rows=100, kinds=("syscalls",))
    return Recording.open(both), Recording.open(calls)


def made(rec, format="", table=None):
    calls = []
    return FormatForm(rec, format, table, calls.append), calls


def test_it_begins_with_what_fits(sessions):
    both, calls = sessions
    assert made(both)[0].name == "pprof"
    assert made(calls)[0].name == "perfetto"
    assert made(calls, "csv", "processes")[0].table == "processes"
    assert made(calls, "csv", "nothing")[0].table is None


def test_what_a_session_cannot_be_is_said(sessions):
    form, calls = made(sessions[1], "folded")
    assert not form.fits
    assert "calls.wb has no stacks" in form.trouble.value
    assert "csv" in form.trouble.value
    assert form.trouble.layout.display is None
    form.chosen.value = "csv"
    assert form.fits
    assert form.trouble.layout.display == "none"
    assert calls == [True]
    form.chosen.value = SEND
    assert form.sends
    assert form.fits


def test_tables(sessions):
    form, calls = made(sessions[0])
    assert form.tables.layout.display == "none"  # only one has stacks
    form.chosen.value = "csv"
    assert form.tables.layout.display is None
    assert [label for label, _ in form.tables.options][:3] == [
        f"{sessions[0].events.name} (default)",
        *list(sessions[0].tables)[:2],
    ]
    form.tables.value = "processes"
    assert calls[-1] is False
    form.chosen.value = "parquet"  # has it, too
    assert form.table == "processes"
    form.chosen.value = "chrome"
    assert form.table is None
    assert form.tables.options[0] == ("all", "")


def test_every_format_has_its_meaning():
    labels = {name: label for label, name in format_choices()}
    assert set(labels) == {*writable(), SEND}
    assert all(writable()[name].meaning in labels[name] for name in writable())
