"""The first lines of a report: what was found, one sentence per question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.frames.flame import KINDS, FlameTree
from workbench.frames.losses import lossy, overhead_summary
from workbench.frames.needs import has
from workbench.frames.processes import processes
from workbench.views import units
from workbench.views.losses import recorder_sentence

if TYPE_CHECKING:
    from workbench.recording import Recording
    from workbench.views.offcpu import OffcpuOverview
    from workbench.views.syscalls import SyscallOverview

Finding = tuple[str, str]
"""Question and answer."""


def of_profile(tree: FlameTree, *, imported: bool = False) -> list[Finding]:
    """Return what a CPU profile shows: how much, which threads, which functions, which part.

    An imported one without frames of the kernel is taken for one of the program only.
    """
    if not tree.total:
        return [("CPU", "No samples: nothing was on a CPU.")]
    time = f" ≈ {units.duration(tree.total * tree.period_ns)} of CPU" if tree.period_ns else ""
    groups = slice(int(tree.level_offsets[1]), int(tree.level_offsets[1]) + 3)
    threads = [
        f"{tree.label(node)} {units.share(tree.width[node] / tree.total)}"
        for node in range(groups.start, min(groups.stop, len(tree)))
        if tree.depth[node] == 1
    ]
    in_kernel = tree.kind == KINDS.index("kernel")
    kernel = tree.self[in_kernel].sum()
    found = [
        (
            "CPU",
            f"{units.amount(tree.total, tree.unit)}{time}; by thread name: {', '.join(threads)}.",
        ),
        ("Hottest functions", f"{_hottest(tree)} (share of self time)."),
    ]
    if in_kernel.any() or not imported:
        share = units.share(float(kernel) / tree.total)
        found.append(("Kernel", f"{share} of the samples were in the kernel."))
    return found


def _hottest(tree: FlameTree) -> str:
    weight = np.bincount(tree.name, weights=tree.self, minlength=len(tree.names))
    top = [index for index in np.argsort(-weight, kind="stable")[:3] if weight[index]]
    return ", ".join(
        f"{tree.names[index]} {units.share(float(weight[index]) / tree.total)}" for index in top
    )


def of_offcpu(overview: OffcpuOverview) -> list[Finding]:
    """Return what off-CPU time shows: how much, for what, and how much of it for a CPU."""
    total = overview.totals
    if not total["periods"]:
        return [("Waiting", "No thread left its CPU in what was selected.")]
    (off, *_), (blocked, *_), (runnable, _, share), (periods, *_) = overview.figures[:4]
    reasons = ", ".join(overview.states.head(3)["state"].to_list())
    found = [
        ("Waiting", f"{off} off the CPU over all threads in {periods} periods; most: {reasons}."),
        ("Blocked", f"{blocked} until woken; then {runnable} ({share}) for a CPU."),
    ]
    value, _, who = overview.figures[4]
    return [*found, ("Longest wait", f"{value}: {who}.")]


def of_syscalls(overview: SyscallOverview) -> list[Finding]:
    """Return what the system calls show: how many, where the time went, what failed."""
    rows = overview.summary
    if rows.is_empty():
        return [("System calls", "None in what was selected.")]
    (calls, _, rate), (errors, _, share), (distinct, *_), (time, *_) = overview.figures[:4]
    top = rows.head(3)["name"].to_list()
    found = [
        ("System calls", f"{calls} calls of {distinct} kinds, {rate}; {time} over all threads."),
        ("Where the time went", f"{', '.join(top)} (waiting included)."),
    ]
    if overview.errors.is_empty():
        return [*found, ("Errors", "No call failed.")]
    often = overview.errors.row(0, named=True)
    what = f"{often['name']} with {often['error']}" if often["error"] else often["name"]
    return [*found, ("Errors", f"{errors} calls failed ({share}), most often {what}.")]


def of_processes(rec: Recording) -> list[Finding]:
    """Return how many processes came and went, and how they ended."""
    if not has(rec, "processes"):
        return []
    table = processes(rec)
    started = table["started"].count()
    ended = table["ended"].count()
    failed = int((table["exit_status"].fill_null(0) != 0).sum()) + table["exit_signal"].count()
    text = f"{len(table):,} seen, {started:,} started, {ended:,} ended"
    return [("Processes", f"{text}, {failed:,} of these with an error or by a signal.")]


def of_recording(rec: Recording) -> list[Finding]:
    """Return whether events were lost and what the recording cost."""
    cost = overhead_summary(rec)["cpu_share"].drop_nulls()
    programs = f"BPF programs took {units.share(_total(cost))} of one CPU. " if len(cost) else ""
    found = [("Losses", lossy(rec) or "No event was lost.")]
    if programs or recorder_sentence(rec):
        found.append(("Overhead", f"{programs}{recorder_sentence(rec)}".strip()))
    return found


def _total(column: Any) -> float:
    return float(column.sum())
