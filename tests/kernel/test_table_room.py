"""Unwind tables that do not all fit: those of what runs come back, and never more than fit."""

import signal
import subprocess
import sys

import pytest
from stack_programs import chains
from stack_sources import WAIT_S, Recorded

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("nothing_left")]
PYTHON = "import json\nwhile True: json.dumps(sorted(str(i) for i in range(2000)))"


def test_what_runs_comes_back(tmp_path_factory):
    commands = [sys.executable, "-c", PYTHON], [chains(tmp_path_factory), "plain", "90"]
    with (
        subprocess.Popen(commands[0], stdout=subprocess.DEVNULL) as large,
        subprocess.Popen(commands[1], stdout=subprocess.DEVNULL) as small,
    ):
        small.send_signal(signal.SIGSTOP)
        recorded = Recorded(large.pid, small.pid)
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
            recorded.close()
            large.kill()
            small.kill()
