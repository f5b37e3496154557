"""Unwind tables that do not all fit: those of what runs come back, and never more than fit."""

import signal
import subprocess
import sys
import time

import pytest
from stack_programs import chains

from workbench import kinds
from workbench.recorder.processes import ProcessTable
from workbench.recorder.source import RING, Setup
from workbench.recorder.spec import Target
from workbench.recorder.tables import make_source
from workbench.recorder.targets import ACTIVE, filter_values

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]
PYTHON = "import json\nwhile True: json.dumps(sorted(str(i) for i in range(2000)))"
WAIT_S = 30


class Recorded:
    """A source in this process, whose tables can be looked at."""

    def __init__(self, pids):
        kind = kinds.find("cpu")
        setup = Setup(filter_values(Target(pid=pids[0])), RING, 0)
        self.source = make_source(kind, setup, kind.check({"hz": 499}), "x86_64", 1 << 18)
        self.tables = self.source._worker.unwind
        self.processes = ProcessTable(0)
        for pid in pids:
            self.source.object.maps["wb_targets"].update(pid.to_bytes(4, "little"), ACTIVE)

    def until_whole(self, pid):
        """Read samples until twenty in a row of a process are whole; return what came before."""
        deadline, seen, row = time.monotonic() + WAIT_S, [], 0
        while row < 20:
            assert time.monotonic() < deadline, seen[-9:]
            for table, batch in self.source.batches(self.processes, 0):
                if table != "cpu":
                    continue
                for who, status in zip(
                    batch["pid"].to_pylist(), batch["stack_status"].to_pylist(), strict=True
                ):
                    if who == pid:
                        row = row + 1 if status == "complete" else 0
                        seen.append(status)
            assert self.tables.stats.rows <= self.tables._budget
            time.sleep(0.02)
        return seen


def test_what_runs_comes_back(tmp_path_factory):
    commands = [sys.executable, "-c", PYTHON], [chains(tmp_path_factory), "plain", "90"]
    with (
        subprocess.Popen(commands[0], stdout=subprocess.DEVNULL) as large,
        subprocess.Popen(commands[1], stdout=subprocess.DEVNULL) as small,
    ):
        small.send_signal(signal.SIGSTOP)
        recorded = Recorded([large.pid, small.pid])
        try:
            recorded.source.process_started(large.pid)
            recorded.source.start()
            recorded.until_whole(large.pid)
            assert recorded.tables.wait(WAIT_S)
            stats = recorded.tables.stats
            recorded.tables._budget = stats.rows + 100  # which the other's alone exceed
            seen = []
            for run, rest in ((small, large), (large, small), (small, large)):
                rest.send_signal(signal.SIGSTOP)
                run.send_signal(signal.SIGCONT)
                seen.append(recorded.until_whole(run.pid))
            assert "image_missing" in seen[0]
            assert stats.evicted > 0
            assert not stats.failures
        finally:
            recorded.source.object.detach()
            recorded.source.close()
            large.kill()
            small.kill()
