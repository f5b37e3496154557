from __future__ import annotations

from itertools import pairwise

import legacy_pprof
import numpy as np
import pytest

from workbench.errors import ImportFormatError
from workbench.formats.pprof.legacy import cpu


@pytest.mark.parametrize("word", ["<Q", ">Q", "<I", ">I"])
def test_stacks(word):
    found = cpu.read(legacy_pprof.cpu(word))
    assert found.values.tolist() == [[5, 50_000_000], [2, 20_000_000], [9, 90_000_000]]
    flat, offsets = found.stacks
    # Without the signal's handler, and where the leaf stands twice, without the second one.
    assert [flat[a:b].tolist() for a, b in pairwise(offsets)] == [
        [0x400010, 0x40001F, 0x40002F],
        [0x400014, 0x40002F],
        [0x7FF0200, 0x400040, 0x99998],
    ]
    assert found.period == ("cpu", "nanoseconds", 10_000_000)
    assert [each.file for each in found.mappings] == ["/bin/program", "/lib/libc.so.6"]


def test_java():
    found = cpu.read(legacy_pprof.JAVA_CPU)
    assert found.stacks[0][:4].tolist() == list(legacy_pprof.CPU_STACKS[0][1])
    assert found.names["function"].to_list() == ["foo.a", "foo.b", "GC"]
    assert not found.placed


def test_handlers_are_those_of_nearly_all_stacks():
    offsets = np.arange(65) * 3
    flat = np.tile(np.array([5, 9, 7], np.uint64), 64)
    left, ends = cpu._without_handler(flat, offsets)
    assert (left.tolist(), ends[-1]) == ([5] * 64, 64)  # two frames
    flat[[1, 4]] = 8  # of 64 stacks two may differ
    assert cpu._without_handler(flat, offsets)[1][-1] < 3 * 64
    flat[7] = 8
    assert cpu._without_handler(flat, offsets)[1][-1] == 3 * 64


def test_no_cpu_profile():
    assert cpu.words(b"\0" * 100) is None
    assert cpu.words(legacy_pprof.cpu()[:30]) is None
    with pytest.raises(ImportFormatError, match="no legacy profile"):
        cpu.read(b"abc")


def test_breaks_off(monkeypatch):
    whole = legacy_pprof.cpu(rest=b"")
    with pytest.raises(ImportFormatError) as error:
        cpu.read(whole[: 12 * 8])
    assert "breaks off" in error.value.why
    assert len(cpu.read(whole[:-24]).values) == 3  # Go's tool takes it without the end, too
    monkeypatch.setattr(cpu, "MAX_WORDS", 8)
    with pytest.raises(ImportFormatError) as error:
        cpu.read(whole)
    assert "too many stacks" in error.value.why
