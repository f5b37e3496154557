"""The offset between the clock of the events and UTC."""

from __future__ import annotations

import time

TRIES = 16


def boot_to_utc() -> int:
    """Nanoseconds to add to ``bpf_ktime_get_boot_ns()`` to get UTC.

    Reads UTC between two reads of the boot clock, several times, and takes the try in which
    those lay closest together.
    """
    best, offset = 1 << 62, 0
    for _ in range(TRIES):
        before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        utc = time.clock_gettime_ns(time.CLOCK_REALTIME)
        after = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        if after - before < best:
            best, offset = after - before, utc - (before + after) // 2
    return offset
