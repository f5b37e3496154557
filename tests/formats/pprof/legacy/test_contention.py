from __future__ import annotations

import legacy_pprof
import polars as pl
import pytest

from workbench.errors import ImportFormatError
from workbench.formats.pprof.legacy import contention
from workbench.formats.pprof.legacy.text import sections


def read(content):
    return contention.read(*sections(pl.Series(content.decode().splitlines())))


def test_cycles_become_nanoseconds():
    found = read(legacy_pprof.CONTENTION)
    assert found.values[:, 0].tolist() == [2700, 100]
    assert found.values[:, 1].tolist() == [int(19490304 * 100 / 3.201), int(768 * 100 / 3.201)]
    assert found.period == ("contentions", "count", 100)
    assert found.duration_ns == 16_502_830_000_000
    assert found.stacks[0][0] == 0xBCCC96  # in the call, which is before where it returns to
    assert [each.file for each in found.mappings] == ["cppbench_server_main", "/lib/libc-2.15.so"]


def test_without_a_clock_times_are_as_they_are():
    found = read(b"--- mutex:\nsampling period=0\n 5 6 @ 0x10\n--- more\n7 8 @ 0x10\n")
    assert found.values.tolist() == [[6, 5]]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"--- mutex:\ncycles/second=x\n", "cycles/second cannot be 'x'"),
        (b"--- mutex:\ncolour=5\n", "not known: 'colour'"),
        (b"--- mutex:\n5 @ 0x10\n", "a sample cannot be '5 @ 0x10'"),
        (b"--- mutex:\n" + b"discarded samples=5\n" * 100, "more than 64 attributes"),
    ],
)
def test_refused(text, why):
    with pytest.raises(ImportFormatError) as error:
        read(text)
    assert why in error.value.why
