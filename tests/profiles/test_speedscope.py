from __future__ import annotations

import pytest

from workbench.errors import ImportFormatError
from workbench.profiles.speedscope import evented, sampled


def test_samples_that_are_equal_share_a_stack():
    found = sampled({"samples": [[0, 1], [], [0, 1], [1, 0]], "weights": [1, 2, 3.5, 4]}, 2)
    assert found.stacks.to_list() == [[1, 0], [], [0, 1]]
    assert found.stack.tolist() == [0, 1, 0, 2]
    assert found.weight.tolist() == [1, 2, 3.5, 4]


def test_events_weigh_as_long_as_nothing_changes():
    events = [("O", 0, 1), ("O", 1, 2), ("C", 1, 2), ("O", 1, 5), ("C", 1, 7), ("C", 0, 10)]
    profile = {
        "startValue": 0,
        "endValue": 12,
        "events": [{"type": kind, "frame": frame, "at": at} for kind, frame, at in events],
    }
    found = evented(profile, 2)
    stacks = [found.stacks[int(at)].to_list() for at in found.stack]
    assert list(zip(stacks, found.weight.tolist(), strict=True)) == [
        ([0], 1), ([0], 3), ([1, 0], 2), ([0], 3),
    ]  # fmt: skip


def test_nothing():
    assert len(evented({"startValue": 0, "endValue": 0, "events": []}, 0).weight) == 0
    assert len(sampled({"samples": [], "weights": []}, 0).weight) == 0


def test_frames_that_are_not_there():
    with pytest.raises(ImportFormatError, match="none of the 1"):
        sampled({"samples": [[1]], "weights": [1]}, 1)
    profile = {"startValue": 0, "endValue": 9, "events": [{"type": "O", "frame": 1, "at": 1}]}
    with pytest.raises(ImportFormatError, match="none of the 1"):
        evented(profile, 1)
