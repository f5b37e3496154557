"""A source of stacks in this process, whose inside can be looked at."""

import time

from workbench import kinds
from workbench.recorder.processes import ProcessTable
from workbench.recorder.source import RING, Setup
from workbench.recorder.spec import Target
from workbench.recorder.tables import make_source
from workbench.recorder.targets import ACTIVE, filter_values

WAIT_S = 30


class Recorded:
    """CPU samples of processes."""

    def __init__(self, *pids):
        kind = kinds.find("cpu")
        setup = Setup(filter_values(Target(pid=pids[0])), RING, 0)
        self.source = make_source(kind, setup, kind.check({"hz": 499}), "x86_64", 1 << 18)
        self.tables = self.source._worker.unwind
        self.python = self.source._worker.python
        self.processes = ProcessTable(0)
        for pid in pids:
            self.add(pid)

    def add(self, pid):
        """Take samples of a process."""
        self.source.object.maps["wb_targets"].update(pid.to_bytes(4, "little"), ACTIVE)

    def close(self):
        """End."""
        self.source.object.detach()
        self.source.close()

    def batches(self):
        """Drain until the end of the wait."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            yield from self.source.batches(self.processes, 0)
            time.sleep(0.02)
        raise AssertionError("nothing came that was waited for")

    def until_whole(self, pid):
        """Read samples until twenty in a row of a process are whole; return what came before."""
        seen, row = [], 0
        for table, batch in self.batches():
            if table == "cpu":
                pairs = zip(
                    batch["pid"].to_pylist(), batch["stack_status"].to_pylist(), strict=True
                )
                for who, status in pairs:
                    if who == pid:
                        row = row + 1 if status == "complete" else 0
                        seen.append(status)
            assert self.tables.stats.rows <= self.tables._budget
            if row >= 20:
                return seen
        return None

    def until_function(self, function, kind):
        """Read until there is a frame of a function."""
        for table, batch in self.batches():
            if table == "frames":
                pairs = zip(
                    batch["function"].to_pylist(),
                    batch["kind"].cast("string").to_pylist(),
                    strict=True,
                )
                if (function, kind) in pairs:
                    return
