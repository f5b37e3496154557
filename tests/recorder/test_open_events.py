"""What lasts still at the end is reported once, after what was drained."""

from types import SimpleNamespace

import numpy as np

from workbench.recorder.open_events import OpenEvents
from workbench.recorder.processes import ProcessTable
from workbench.recorder.source import KindSetup

ENTRY = np.dtype([("begun", "<u8"), ("tid", "<u4"), ("cpu", "<u2"), ("rest", "<u2")])
EVENT = np.dtype([("ts", "<u8"), ("pid", "<u4"), ("tid", "<u4"), ("cpu", "<u2")])


class Things(OpenEvents):
    """A kind whose map holds `entries`, without a program."""

    held_in = ("things", "thing")

    def __init__(self, entries, least):
        self.entries, self._offset, self.added, self.steps = entries, 1000, [], []
        data = entries.view(np.uint8).reshape(len(entries), ENTRY.itemsize)
        things = SimpleNamespace(items=lambda: (None, data))
        layouts = {"thing": SimpleNamespace(dtype=ENTRY)}
        self.object = SimpleNamespace(maps={"things": things}, layout=layouts.__getitem__)
        self._wanted = KindSetup(None, None, {}, {"min_ns": least}, 0)

    def batches(self, *_):
        self.steps.append("drained")
        return []

    def add(self, cpus):
        self.added += cpus.tolist()

    def _convert(self, span, records):
        assert span is None
        self.steps.append("converted")
        return [("things", records)]

    def _open(self, entries, now, min_ns):
        kept = entries[entries["begun"] + np.uint64(min_ns) <= now]
        records = np.zeros(len(kept), EVENT)
        records["ts"], records["pid"] = kept["begun"], 7
        records["tid"], records["cpu"] = kept["tid"], kept["cpu"]
        return (records,)


def test_what_is_open_is_counted_and_seen():
    things = Things(np.array([(10, 3, 1, 0), (95, 4, 0, 0), (90, 5, 1, 0)], ENTRY), 10)
    processes = ProcessTable(0)
    ((table, records),) = things.finish(processes, 1100)  # UTC: 100 by the boot clock
    assert table == "things"
    assert records["tid"].tolist() == [3, 5]
    assert things.added == [1, 1]
    assert things.steps == ["drained", "converted", "drained"]


def test_nothing_is_open():
    things = Things(np.zeros(0, ENTRY), 0)
    assert things.finish(ProcessTable(0), 1100) == []
    assert things.added == []
    assert things.steps == ["drained", "drained"]
