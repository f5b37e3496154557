from __future__ import annotations

import legacy_pprof
import polars as pl
import pytest

from workbench.errors import ImportFormatError
from workbench.formats.pprof.legacy import counts
from workbench.formats.pprof.legacy.text import leading


def read(content):
    lines = leading(pl.Series(content.decode().splitlines()))
    return counts.read(lines, lines.slice(0, 0))


def test_counts():
    found = read(legacy_pprof.COUNTS + b"--- Memory map\n9 @ 0x1\n")
    assert found.types == (("goroutine", "count"),)
    assert found.values.tolist() == [[4], [3]]
    assert found.stacks[0].tolist() == [0x40BE30, 0x40BE31, 0x7FF000F, 0x40BE30]
    assert found.stacks[1].tolist() == [0, 3, 4]


def test_labels():
    text = (
        b'x profile: total 3\n1 @ 0x10\n# labels: {"a":"1", "b":"\\x7f\\v\\xff\\U0001f600"}\n'
        b'#\t0xf\tmain.f+0x1\ta b.go:5\n1 @\n1 @ 0x10\n# labels: {"a":"2"}\n'
    )
    found = read(text)
    told = {label.key: (label.samples.tolist(), label.values) for label in found.labels}
    assert told == {"a": ([0, 2], ["1", "2"]), "b": ([0], ["\x7f\x0b\ufffd😀"])}
    assert found.names.rows() == [(15, "main.f", "a b.go", 5)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("one\n1 @ 0x10\n# labels: {x}\n", "labels cannot be '{x}'"),
        ("one\n1 @ 0x10\n# labels: [5]\n", "Labels cannot be"),
        ("one\n1 @ 10\n", "a sample cannot be '1 @ 10'"),
        ("one\n99999999999999999999 @ 0x10\n", "A count cannot be"),
    ],
)
def test_refused(text, why):
    with pytest.raises(ImportFormatError) as error:
        read(text.replace("one", "x profile: total 1").encode())
    assert why in str(error.value)
