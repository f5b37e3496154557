"""The offset of the boot clock."""

import time

from workbench.recorder import clock
from workbench.recorder.clock import boot_to_utc


def test_a_time_of_the_boot_clock_is_that_of_utc():
    before = time.time_ns()
    utc = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + boot_to_utc()
    after = time.time_ns()
    assert before - 1_000_000 <= utc <= after + 1_000_000
    assert abs(boot_to_utc() - boot_to_utc()) < 1_000_000


def test_the_closest_reads_win(monkeypatch):
    boot = iter([0, 1000, 2000, 2010, 3000, 3500] + [10**6 * i for i in range(1, 100)])
    utc = iter([10_500, 12_005, 13_900] + [0] * 100)
    monkeypatch.setattr(
        clock.time,
        "clock_gettime_ns",
        lambda which: next(boot if which == time.CLOCK_BOOTTIME else utc),
    )
    assert boot_to_utc() == 10_000
