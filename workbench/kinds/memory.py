"""Memory: what allocators hand out, what is mapped, page faults, ends for want of memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.errors import ParameterError
from workbench.kinds._kind import CaptureKind, Parameter
from workbench.syscalls_table import number_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

PARTS = ("heap", "mappings", "faults", "oom")
WAITS = 1024
"""Entries of ``waits`` in bpf/memory.bpf.c."""


def waits() -> NDArray[np.uint32]:
    """Return waiting times of a Poisson process of rate 1, in units of 2**-16.

    The exponential distribution is cut into :data:`WAITS` parts of equal probability; each entry
    is the mean of one, so that they have the distribution's mean of 1. With a = -ln(1 - p) at the
    lower and b at the upper end of a part of probability w, its mean is
    ((a + 1) exp(-a) - (b + 1) exp(-b)) / w.
    """
    import numpy as np  # not with the registry of kinds, which each client reads

    edges = np.linspace(0.0, 1.0, WAITS + 1)
    with np.errstate(divide="ignore"):
        at = -np.log1p(-edges)
    tail = np.zeros(WAITS + 1)
    tail[:-1] = (at[:-1] + 1) * np.exp(-at[:-1])
    return np.round((tail[:-1] - tail[1:]) * WAITS * 65536).astype(np.uint32)


def _settings(parameters: Mapping[str, Any], machine: str) -> dict[str, Any]:
    wrong = sorted(set(parameters["parts"]) - set(PARTS))
    if wrong or not parameters["parts"]:
        raise ParameterError(
            f"parts of memory cannot be {', '.join(wrong) or 'none'}.",
            advice=f"They are {', '.join(PARTS)}.",
        )
    numbers = number_of(machine)
    return {
        "sample_bytes": parameters["sample_bytes"],
        "kernel_stacks": int(parameters["kernel_stacks"]),
        "user_stacks": int(parameters["user_stacks"]),
        "python_stacks": int(parameters["python_stacks"]),
        "waits": waits(),
        **{f"nr_{name}": numbers.get(name, -1) for name in ("mmap", "munmap", "brk")},
    }


KIND = CaptureKind(
    name="memory",
    answers="Who allocates memory, what is never freed, what makes the process grow?",
    cost="of a command 3 ns for each malloc with its free, and 5 to 10 µs for a sampled one (two "
    "traps and a stack); of running processes 1.5 to 2.5 µs for each malloc with its free, sampled "
    "or not (three traps). Without the part heap: a stack for each mapping and each page fault",
    probes=(
        "uprobe/uretprobe: malloc, calloc, realloc, reallocarray, memalign, aligned_alloc, "
        "posix_memalign, free of each allocator; or a preloaded library",
        "tp_btf/sys_enter",
        "tp_btf/sys_exit",
        "tp_btf/page_fault_user",
        "raw_tp/mark_victim",
    ),
    parameters=(
        Parameter("parts", ("heap", "oom"), f"what to capture: {', '.join(PARTS)}"),
        Parameter(
            "sample_bytes",
            1 << 19,
            "bytes between two sampled allocations, on average; 0: every allocation",
            low=0,
            high=1 << 40,
        ),
        Parameter(
            "preload",
            True,
            "start a command with a library that samples in the program itself (LD_PRELOAD); off, "
            "or where that cannot be: probes on its allocators, which trap at each call",
        ),
        Parameter("allocators", (), "files with malloc and free, besides those that are found"),
        Parameter("kernel_stacks", False, "take the kernel's part of the stack"),
        Parameter("user_stacks", True, "take the program's part of the stack"),
        Parameter("python_stacks", True, "take the Python frames of CPython programs"),
    ),
    settings=_settings,
    ring_bytes=1 << 24,
    stacks=True,
    source="workbench.recorder.memory_source:MemorySource",
    preloads=True,
)
