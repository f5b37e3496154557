"""What programs have to know of the running kernel before they are loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.probe.tracepoints import argument_count, per_cpu_offsets

if TYPE_CHECKING:
    from collections.abc import Container

_STATE_ARGUMENT = 4
"""Arguments of sched_switch where the last one is the state of the thread that leaves."""


def kernel_facts(parameters: Container[str]) -> dict[str, int]:
    """Return the facts among ``parameters``, the ``const volatile`` names of an object.

    Returns
    -------
    dict of str to int
        state_argument : 1 if sched_switch tells the state of the thread that leaves.
        count_from_runqueue : bytes from the per-CPU variable ``runqueues`` to the one that counts
        interrupts; 0 where that is not known. See ``bpf/task.bpf.h``.
    """
    found = {}
    if "state_argument" in parameters:
        found["state_argument"] = int(argument_count("sched_switch") >= _STATE_ARGUMENT)
    if "count_from_runqueue" in parameters:
        found["count_from_runqueue"] = _count_from_runqueue()
    return found


def _count_from_runqueue() -> int:
    found = per_cpu_offsets("runqueues", "__preempt_count", "pcpu_hot")
    count = found.get("__preempt_count", found.get("pcpu_hot"))
    if count is None or "runqueues" not in found:
        return 0
    return count - found["runqueues"]
