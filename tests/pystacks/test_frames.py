"""Words to frames: numbers, lines, entries, hidden ones."""

import numpy as np
import pytest
from pystacks_memory import words

from workbench.pystacks import frames as module
from workbench.pystacks.codes import Code
from workbench.pystacks.frames import STATUSES, PythonFrames, chain_statuses
from workbench.symbols.frame_table import FrameTable

ENTRY, HIDDEN = 1 << 32, 1 << 33
LINES = bytes(
    [0x80 | 11 << 3 | 1, 0, 0, 0x80 | 10 << 3, 0, 0, 0x80 | 15 << 3]
)  # +1: 4, +0: 2, none


class Codes:
    """Stands in for CodeTable."""

    def __init__(self):
        self.asked = []

    def find(self, pid, address, fingerprint):
        self.asked.append((pid, address, fingerprint))
        known = {
            (5, 0x9000, 7): Code("f", "a.py", 10, LINES),
            (5, 0xA000, 9): Code("g", "", 20, b""),
            (6, 0x9000, 7): Code("f", "a.py", 10, LINES),
            (5, 0xB000, 1): Code("h", "b.py", -3, LINES),
        }
        return known.get((pid, address, fingerprint))


def word(fingerprint, offset, flags=0):
    return fingerprint << 34 | flags | offset & 0xFFFFFFFF


@pytest.fixture
def decoder():
    return PythonFrames(Codes(), FrameTable())


def rows(decoder):
    return {row["frame_id"]: row for row in decoder._frames.take().to_pylist()}


def test_frames(decoder):
    frames = words(
        (0x9000, word(7, 0)),
        (0x9000, word(7, 2, ENTRY)),
        (0xA000, word(9, 8)),
        (0x9000, word(7, 4)),
        (0x9000, word(7, 0, ENTRY)),
        (1, HIDDEN),
        (0, HIDDEN | ENTRY),
        (0x9000, word(7, -2)),
        (0x9000, word(7, 6)),
        (0x9000, word(7, 9000)),
    )
    found = decoder.decode(np.full(len(frames), 5), frames)
    assert found.is_entry.tolist() == [at in (1, 4, 6) for at in range(10)]
    assert (found.ids < 0).tolist() == [at in (5, 6) for at in range(10)]
    told = rows(decoder)
    told = [told[number] for number in found.ids.tolist() if number >= 0]
    assert [row["line"] for row in told] == [11, 11, 20, 11, 11, 10, None, None]
    assert [row["function"] for row in told] == ["f", "f", "g", "f", "f", "f", "f", "f"]
    assert {row["kind"] for row in told} == {"python"}
    assert told[0]["file"] == told[0]["module"] == "a.py"
    assert told[2]["file"] is None
    assert found.ids[0] == found.ids[4] == found.ids[1], "one line, one frame"


def test_many_frames_are_looked_up_once(decoder):
    frames = words((0x9000, word(7, 0)), (0x9000, word(7, 0, ENTRY))).repeat(5000, axis=0)
    pids = np.tile([5, 6], 5000)
    ids = decoder.decode(pids, frames).ids
    assert len(decoder._codes.asked) == 2, "once a process"
    assert len(set(ids.tolist())) == 1, "one function, one frame"
    decoder.decode(pids, frames)
    assert len(decoder._codes.asked) == 2


def test_frames_that_nobody_knows(decoder):
    found = decoder.decode(np.array([5, 5]), words((0x1234, word(1, 0)), (0x9000, word(8, 0))))
    assert decoder.unknown == 2
    row = rows(decoder)[found.ids[0]]
    assert (row["function"], row["kind"], row["line"]) == ("[unknown]", "python", None)
    assert found.ids[0] == found.ids[1]


def test_lines_that_no_column_holds(decoder):
    found = decoder.decode(np.array([5]), words((0xB000, word(1, 0))))
    assert rows(decoder)[found.ids[0]]["line"] is None


def test_nothing(decoder):
    found = decoder.decode(np.zeros(0, int), words())
    assert found.ids.tolist() == found.is_entry.tolist() == []


def test_any_words(decoder, monkeypatch):
    monkeypatch.setattr(module, "MAX_MEMO", 50)
    source = np.random.default_rng(2)
    frames = source.integers(0, 1 << 64, (2000, 2), np.uint64)
    frames[::2, 0] = 0x9000
    frames[::2, 1] = (frames[::2, 1] & np.uint64((1 << 34) - 1)) | np.uint64(7 << 34)
    found = decoder.decode(np.full(2000, 5), frames)
    assert len(found.ids) == 2000
    assert len(decoder._memo) <= 50


def test_statuses():
    frames = words((0x9000, word(7, 1)), (3, HIDDEN), (0, HIDDEN | ENTRY), (1 << 63, HIDDEN))
    assert [STATUSES[each] for each in chain_statuses(frames)] == [
        *("complete", "bad_code", "complete", "unknown"),
    ]
