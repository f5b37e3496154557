"""What the capture costs: BPF run-time statistics of each program, and the recorder's own use."""

from __future__ import annotations

import os
import resource
import time
from typing import TYPE_CHECKING, Any

from workbench.probe.clib import lib
from workbench.probe.program_info import program_info

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workbench.recorder.source import Source

RUN_TIME = 0  # BPF_STATS_RUN_TIME
WINDOW_NS = 100_000_000
PERIOD_NS = 1_000_000_000


class Overhead:
    """Turns the kernel's statistics on for a tenth of the time, and reads them.

    Reading the clock twice around each run costs the traced program 20 to 40 ns, so that being
    always on would make the figure worse that it measures.

    Parameters
    ----------
    mode : str
        ``sampled``, ``always`` or ``off``.
    """

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._fd = -1
        self._since = 0
        self._sampled = 0
        self._start = time.monotonic_ns()
        self._startup_cpu = time.process_time_ns()
        self.unavailable = ""
        if mode != "off":
            self._on()

    def _on(self) -> None:
        fd = lib().bpf_enable_stats(RUN_TIME)
        if fd < 0:
            self._mode, self.unavailable = "off", os.strerror(-fd)
            return
        self._fd, self._since = fd, time.monotonic_ns()

    def _off(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._sampled += time.monotonic_ns() - self._since

    def tick(self) -> None:
        """Turn the statistics on or off when it is time to."""
        if self._mode != "sampled":
            return
        now = time.monotonic_ns()
        if self._fd >= 0 and now - self._since >= WINDOW_NS:
            self._off()
        elif self._fd < 0 and now - self._since >= PERIOD_NS:
            self._on()

    @property
    def sampled_ns(self) -> int:
        """Time with statistics on, ns."""
        running = time.monotonic_ns() - self._since if self._fd >= 0 else 0
        return self._sampled + running

    def programs(self, sources: Iterable[Source]) -> list[dict[str, Any]]:
        """Rows for the manifest. ``cpu_share`` is in CPUs: 0.02 is 2 % of one."""
        sampled = self.sampled_ns
        rows = []
        for source in sources:
            for program in source.object.programs.values():
                if program.fd < 0:  # it was left out
                    continue
                info = program_info(program.fd)
                runs, spent = info.get("run_cnt", 0), info.get("run_time_ns", 0)
                rows.append(
                    {
                        "kind": source.kind,
                        "program": program.name,
                        "run_count": runs,
                        "run_time_ns": spent,
                        "sampled_ns": sampled,
                        "ns_per_run": spent / runs if runs else 0.0,
                        "cpu_share": spent / sampled if sampled else 0.0,
                    }
                )
        return rows

    def recorder(self) -> dict[str, int]:
        """What the recorder itself used since this was made, and before (``startup_cpu_ns``)."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "cpu_ns": time.process_time_ns() - self._startup_cpu,
            "startup_cpu_ns": self._startup_cpu,
            "wall_ns": time.monotonic_ns() - self._start,
            "max_rss_bytes": usage.ru_maxrss * 1024,
        }

    def close(self) -> None:
        """Turn the statistics off."""
        self._off()
