"""perf_event_open(2): sampling clocks, and the buffers behind a perf event array."""

from __future__ import annotations

import ctypes as c
import errno
import os
import platform
import struct
from pathlib import Path

from workbench.errors import AttachError, KernelError
from workbench.probe.clib import errno_text, libc, not_permitted

# include/uapi/linux/perf_event.h
TYPE_HARDWARE, TYPE_SOFTWARE, TYPE_TRACEPOINT = 0, 1, 2
COUNT_SW_CPU_CLOCK = 0
COUNT_SW_BPF_OUTPUT = 10
CLOCKS = ("cpu-clock", "task-clock")
"""Events that count nanoseconds; their rate is given in Hz, that of the others as a period."""
EVENTS = {
    # name: (type, config), enum perf_sw_ids and enum perf_hw_id
    "cpu-clock": (TYPE_SOFTWARE, 0),
    "task-clock": (TYPE_SOFTWARE, 1),
    "page-faults": (TYPE_SOFTWARE, 2),
    "context-switches": (TYPE_SOFTWARE, 3),
    "cpu-migrations": (TYPE_SOFTWARE, 4),
    "minor-faults": (TYPE_SOFTWARE, 5),
    "major-faults": (TYPE_SOFTWARE, 6),
    "alignment-faults": (TYPE_SOFTWARE, 7),
    "emulation-faults": (TYPE_SOFTWARE, 8),
    "cycles": (TYPE_HARDWARE, 0),
    "instructions": (TYPE_HARDWARE, 1),
    "cache-references": (TYPE_HARDWARE, 2),
    "cache-misses": (TYPE_HARDWARE, 3),
    "branches": (TYPE_HARDWARE, 4),
    "branch-misses": (TYPE_HARDWARE, 5),
    "bus-cycles": (TYPE_HARDWARE, 6),
    "ref-cycles": (TYPE_HARDWARE, 9),
}
SAMPLE_RAW = 1 << 10
FLAG_DISABLED = 1 << 0
FLAG_FREQ = 1 << 10
FLAG_WATERMARK = 1 << 14
FLAG_FD_CLOEXEC = 8
ATTR_SIZE = 112  # PERF_ATTR_SIZE_VER5, Linux 4.1
IOC_ENABLE = 0x2400

# arch/x86/entry/syscalls/syscall_64.tbl; include/uapi/asm-generic/unistd.h
_SYSCALL_NR = {"x86_64": 298, "aarch64": 241}


def _attr(
    config: int,
    *,
    period: int = 0,
    sample_type: int = 0,
    flags: int = 0,
    wakeup: int = 0,
    kind: int = TYPE_SOFTWARE,
) -> bytes:
    head = struct.pack(
        "<IIQQQQQII",
        kind,
        ATTR_SIZE,
        config,
        period,
        sample_type,
        0,  # read_format
        flags,
        wakeup,
        0,  # bp_type
    )
    return head.ljust(ATTR_SIZE, b"\0")


def _open(attr: bytes, cpu: int, what: str) -> int:
    machine = platform.machine()
    if machine not in _SYSCALL_NR:
        raise KernelError(f"perf_event_open is not known for {machine}.")
    buffer = c.create_string_buffer(attr, len(attr))
    fd = libc().syscall(
        c.c_long(_SYSCALL_NR[machine]), buffer, -1, cpu, -1, c.c_ulong(FLAG_FD_CLOEXEC)
    )
    if fd >= 0:
        return int(fd)
    number = c.get_errno()
    if number in (errno.EPERM, errno.EACCES):
        raise not_permitted(f"{what} on CPU {cpu} cannot be opened.", number)
    advice = "Is that CPU online, and the rate within kernel.perf_event_max_sample_rate?"
    if number in (errno.ENOENT, errno.EOPNOTSUPP):
        advice = "This machine has no such counter, as many virtual ones: use perf:cpu-clock."
    raise AttachError(
        f"{what} on CPU {cpu} cannot be opened.", why=errno_text(number), advice=advice
    )


def open_cpu_clock(cpu: int, hz: int) -> int:
    """Open a sampling clock on one CPU.

    Parameters
    ----------
    cpu : int
    hz : int
        Samples a second of CPU time and wall time alike (the clock ticks when idle too).

    Returns
    -------
    int
        File descriptor, enabled.

    Raises
    ------
    NotPermittedError, AttachError
    """
    attr = _attr(COUNT_SW_CPU_CLOCK, period=hz, flags=FLAG_FREQ)
    return _open(attr, cpu, f"A {hz} Hz sampling clock")


def open_event(name: str, cpu: int, rate: int) -> int:
    """Open one of :data:`EVENTS` on one CPU, sampling.

    Parameters
    ----------
    rate : int
        Samples a second of :data:`CLOCKS`; of the others an event in that many.

    Returns
    -------
    int
        File descriptor, enabled.

    Raises
    ------
    NotPermittedError, AttachError
    """
    kind, config = EVENTS[name]
    flags = FLAG_FREQ if name in CLOCKS else 0
    return _open(_attr(config, period=rate, flags=flags, kind=kind), cpu, f"The perf event {name}")


def open_tracepoint(number: int, what: str) -> int:
    """Open the tracepoint of an id; a program attached to it runs on all CPUs.

    Raises
    ------
    NotPermittedError, AttachError
    """
    return _open(_attr(number, period=1, kind=TYPE_TRACEPOINT), 0, what)


def open_bpf_output(cpu: int, watermark: int) -> int:
    """Open one CPU's event behind ``BPF_MAP_TYPE_PERF_EVENT_ARRAY``, disabled.

    Parameters
    ----------
    watermark : int
        Bytes in the buffer that make its descriptor readable.
    """
    attr = _attr(
        COUNT_SW_BPF_OUTPUT,
        period=1,
        sample_type=SAMPLE_RAW,
        flags=FLAG_DISABLED | FLAG_WATERMARK,
        wakeup=max(1, watermark),
    )
    return _open(attr, cpu, "A perf buffer")


def online_cpus(path: str = "/sys/devices/system/cpu/online") -> list[int]:
    """Numbers of the CPUs that are online, e.g. ``[0, 1, 4]`` for ``0-1,4``."""
    try:
        text = Path(path).read_text().strip()
    except OSError:
        return list(range(os.cpu_count() or 1))
    cpus: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        cpus.extend(range(int(first), int(last or first) + 1))
    return cpus
