"""Values as the semantic conventions name them."""

import polars as pl
import pytest
from network_rows import table

from workbench.formats.otlp.metrics.conventions import ADDED, added


def made(name, rows):
    """The columns that rows of a table get, as texts."""
    columns = [*ADDED[name], *(["method"] if name == "http" else [])]
    found = added(name, pl.DataFrame(rows)).select(columns)
    assert {kind.base_type() for kind in found.dtypes} == {
        pl.Categorical
    }  # which are told apart fast
    return found.with_columns(pl.all().cast(pl.String)).rows()


def test_requests():
    rows = [
        {"direction": "receive", "status": 404, "method": "GET"},
        {"direction": "send", "status": 404, "method": "none"},
        {"direction": "send", "status": 503, "method": "other"},
        {"direction": "receive", "status": 0, "method": "POST"},
    ]
    assert made("http", rows) == [
        ("404", "http", "GET"),
        (None, "http", None),
        ("503", "http", "_OTHER"),
        (None, "http", "POST"),
    ]


def test_queries():
    rows = [{"rcode": "noerror"}, {"rcode": "nxdomain"}]
    assert made("dns", rows) == [(None,), ("nxdomain",)]


def test_sockets():
    rows = [{"direction": "send"}, {"direction": "receive"}]
    assert made("sockets", rows) == [("transmit",), ("receive",)]


@pytest.mark.parametrize("name", ADDED)
def test_tables_may_lack_columns(name):
    frame = pl.DataFrame({"ts": [1]})
    assert set(ADDED[name]) <= set(added(name, frame).columns)
    assert set(ADDED[name]) <= set(added(name, table(name, [])).columns)


def test_other_tables_stay_as_they_are():
    frame = pl.DataFrame({"direction": ["send"]})
    assert added("files", frame) is frame
