from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.views import units


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (None, "–"),
        (0, "0 ns"),
        (999, "999 ns"),
        (1000, "1 µs"),
        (1234, "1.23 µs"),
        (12_340, "12.3 µs"),
        (999_700, "1 ms"),
        (1e9, "1 s"),
        (119e9, "119 s"),
        (125e9, "2 min 5 s"),
        (3 * 3600e9 + 60e9, "3 h 1 min"),
        (-1500, "-1.5 µs"),
    ],
)
def test_duration(ns: float | None, text: str) -> None:
    assert units.duration(ns) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "0%"), (1e-9, "<0.01%"), (0.0123, "1.23%"), (0.5, "50.0%"), (1, "100%")],
)
def test_share(value: float | None, text: str) -> None:
    assert units.share(value) == text


def test_sizes_and_counts() -> None:
    assert [units.size(n) for n in (None, 0, 1023, 1024, 80 << 20, 1 << 70)] == [
        "–",
        "0 B",
        "1,023 B",
        "1 KiB",
        "80 MiB",
        "1,024 EiB",
    ]
    assert [units.short_count(n) for n in (12, 999.9, 12_345, 2.5e6)] == [
        "12",
        "1k",
        "12.3k",
        "2.5M",
    ]
    assert units.count(None) == "–"
    assert units.count(1234567) == "1,234,567"


@given(st.floats(1, 119e9))
def test_duration_is_within_half_a_digit(ns: float) -> None:
    number, unit = units.duration(ns).split()
    size = {"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9}[unit]
    assert float(number.replace(",", "")) * size == pytest.approx(ns, rel=0.0051)


def test_amounts_of_flamegraphs() -> None:
    assert units.amount(1234, "samples") == "1,234 samples"
    assert units.amount(1.5e9, "ns") == "1.5 s"
