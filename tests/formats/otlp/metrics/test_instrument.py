"""What an instrument says of itself."""

from workbench.formats.otlp.metrics.instrument import Instrument


def test_columns_are_those_of_values_and_conditions():
    each = Instrument("t", "n", "ns", "m", values=("a", "b"), where="c > 1 and d is not null")
    assert each.columns() == {"ts", "a", "b", "c", "d"}


def test_what_tells_series_apart_may_be_missing():
    each = Instrument("t", "n", "{call}", "m", "sum", (), {"pid": "process.pid"})
    assert each.columns() == {"ts"}
