"""What is asked of a program, and what it has."""

import dataclasses

from workbench.cells.engine import Outlet, Source
from workbench.probe.map_access import PERF_EVENT_ARRAY, RINGBUF
from workbench.probe.open_map import OpenMap


def test_both_kinds_of_buffers():
    ring = OpenMap(3, 1, "ring", RINGBUF, 0, 0, 4096)
    assert Outlet(ring, None).is_ring
    assert not Outlet(dataclasses.replace(ring, type=PERF_EVENT_ARRAY), None).is_ring


def test_a_source_needs_its_text_only():
    assert Source("int x;").pid == -1
    assert Source("int x;").attach == {}
