"""What the kernel counts of a loaded program."""

from __future__ import annotations

from pathlib import Path


def program_info(fd: int) -> dict[str, int]:
    """Counters of a loaded program: ``run_cnt``, ``run_time_ns``, ``recursion_misses``.

    From its fdinfo (kernel/bpf/syscall.c, ``bpf_prog_show_fdinfo``).
    """
    counters = {}
    for line in Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines():
        name, _, value = line.partition(":")
        if value.strip().isdigit():
            counters[name] = int(value)
    return counters


def missed_runs(fd: int) -> int:
    """Runs of a loaded program that the kernel left out, of anybody's.

    Those on tracepoints and perf events are left out while their CPU does something with a BPF map
    for a process (``bpf_prog_active``, kernel/trace/bpf_trace.c, ``trace_call_bpf``). The kernel
    counts them since Linux 5.12 (``recursion_misses``); 0 before.
    """
    return program_info(fd).get("recursion_misses", 0)
