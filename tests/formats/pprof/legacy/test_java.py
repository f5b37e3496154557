from __future__ import annotations

import legacy_pprof
import polars as pl
import pytest

from workbench.errors import ImportFormatError
from workbench.formats.pprof.legacy import java


def read(content):
    lines = pl.Series(content.decode().splitlines())
    told = java.attributes(lines)
    assert told
    return java.text(lines, told)


def test_heap():
    found = read(legacy_pprof.JAVA_HEAP)
    assert found.types == (("inuse_objects", "count"), ("inuse_space", "bytes"))
    assert found.labels[0].values.tolist() == [7048, 2376, 880]
    assert 500_000 < found.values[0, 1] < 540_000  # 7048 bytes stand for about 512 KiB
    assert found.names.rows() == [
        (3, "com.example.function003", "source.java", 93),
        (4, "com.example.function004", "source.java", 254),
        (5, "com.example.function005", "libx.so", 0),
        (7, "GC", "", 0),
        (10, "STUB", "", 0),
        (53, "com.example.Foo.bar", "libjvm.so", 0),
    ]


def test_contention():
    found = read(legacy_pprof.JAVA_CONTENTION)
    assert found.types == (("contentions", "count"), ("delay", "microseconds"))
    assert found.values.tolist() == [[100, 100], [100, 1400]]
    assert (found.period[2], found.duration_ns) == (100, 6_019_923_000_000)


def test_texts_of_others():
    assert not java.begins("--- mutex:")
    assert java.attributes(pl.Series(legacy_pprof.CONTENTION.decode().splitlines())) is None
    other = legacy_pprof.JAVA_HEAP.replace(b"java\n", b"go\n")
    assert java.attributes(pl.Series(other.decode().splitlines())) is None


def test_refused():
    with pytest.raises(ImportFormatError) as error:
        read(legacy_pprof.JAVA_CONTENTION.replace(b"6019923", b"soon"))
    assert error.value.why == "ms since reset cannot be 'soon'."
    with pytest.raises(ImportFormatError) as error:
        read(legacy_pprof.JAVA_HEAP.replace(b"7048      1", b"7048      0"))
    assert "no block" in error.value.why
