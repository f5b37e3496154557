from __future__ import annotations

import legacy_pprof
import polars as pl
import pytest

from workbench.errors import ImportFormatError
from workbench.formats.pprof.legacy import threads
from workbench.formats.pprof.legacy.text import sections


def read(content):
    return threads.read(*sections(pl.Series(content.decode().splitlines())))


def test_threads():
    found = read(legacy_pprof.THREADS)
    assert found.values.tolist() == [[2], [1]]  # the second one is as the first one
    assert found.stacks[0].tolist() == [
        0xBCCC97, 0x40BE30, 0x7F5874AE6D5C, 0x40BE31, 0x40BE31, 0x7FF000F,
    ]  # fmt: skip
    assert found.stacks[1].tolist() == [0, 3, 6]


def test_end_and_begin():
    text = legacy_pprof.THREADS.split(b"\n\n", 1)[1]  # without the first line
    assert read(text).values.tolist() == [[2], [1]]
    cut = text.replace(b"--- Thread 7f794ab90942", b"---- no stack trace for 5\n--- Thread 7f79")
    assert read(cut).values.tolist() == [[2]]
    lonely = b"--- threadz 1 ---\n--- Thread 1 (name: a/1) stack: ---\n  same as previous thread\n"
    assert len(read(lonely).values) == 0


def test_refused():
    with pytest.raises(ImportFormatError) as error:
        read(legacy_pprof.THREADS.replace(b"(name: x", b"(called x"))
    assert "no thread begins with '--- Thread 7f794ab90942 (called x" in error.value.why
