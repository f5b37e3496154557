"""Replays end, and forget when they are closed."""

import numpy as np

from workbench.probe.replay import ReplayPerf, ReplayRing

RECORD = np.array([8, 3, 1, 2], np.uint32).tobytes()


def test_a_replayed_ring_is_read_once():
    ring = ReplayRing(RECORD * 3)
    assert [len(span) for span in ring.drain()] == [3]
    assert list(ring.drain()) == []


def test_closed_replays_are_empty():
    ring, perf = ReplayRing(RECORD), ReplayPerf([RECORD])
    ring.close()
    perf.close()
    assert list(ring.drain()) == []
    assert list(perf.drain()) == []
