"""Ten lines that say what a session of the demo shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench.frames import syscalls
from workbench.frames.flame import KINDS, FlameTree, flame_tree
from workbench.frames.losses import loss_summary, overhead_summary

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

SHOWN = 5
"""Functions and system calls that a line names."""

REQUESTS = """
select count(*) as requests from syscalls
where comm = 'api-client' and name = 'sendto' and ret > 0
"""
"""Each request of the client is one send(): see workbench/demo/client.c."""

WORKERS = [f"api-worker-{number}" for number in range(4)]


def summarise(rec: Recording) -> list[str]:
    """Return the summary of a session of the demo.

    Parameters
    ----------
    rec : Recording
        With the tables ``cpu`` and ``syscalls``.

    Returns
    -------
    list of str
        Ten lines: label and text.

    Raises
    ------
    MissingTableError
        The session was not recorded with both kinds.
    """
    tree = flame_tree(rec)
    calls = syscalls.summary(rec)
    seconds = rec.duration.total_seconds()
    lines = {
        "requests": _requests(rec, seconds),
        "CPU": _cpu(tree, seconds),
        "hottest": _listed(hottest(tree), lambda share: f"{share:.0%}"),
        "by call path": _listed(inclusive(tree, "route"), lambda share: f"{share:.0%}"),
        "system calls": _calls(calls, seconds),
        "most called": _listed(_top(calls, "calls"), lambda count: f"{count:,.0f}"),
        "waits, p99": _listed(_slowest(rec), lambda ns: f"{ns / 1e6:.1f} ms"),
        "errors": _errors(rec),
        "losses": _losses(rec),
        "overhead": _overhead(rec),
    }
    return [f"{label:<13} {text}" for label, text in lines.items()]


def hottest(tree: FlameTree) -> list[tuple[str, float]]:
    """Return functions with their share of self time, largest first."""
    weight = np.bincount(tree.name, weights=tree.self, minlength=len(tree.names))
    order = [int(index) for index in np.argsort(-weight, kind="stable") if weight[index]]
    return [(tree.names[index], float(weight[index]) / tree.total) for index in order[:SHOWN]]


def inclusive(tree: FlameTree, caller: str) -> list[tuple[str, float]]:
    """Return what is called by a function, with its share of all samples, largest first."""
    names = np.array(tree.names, dtype=object)[tree.name]
    called = np.flatnonzero(names[tree.parent] == caller)
    called = called[called > 0]
    found: dict[str, float] = {}
    for node in called:
        name = str(names[node])
        found[name] = found.get(name, 0.0) + float(tree.width[node]) / tree.total
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]


def _requests(rec: Recording, seconds: float) -> str:
    count = int(rec.sql(REQUESTS).item())
    return f"{count:,} in {seconds:.1f} s, counted by the client's sendto calls"


def _cpu(tree: FlameTree, seconds: float) -> str:
    if not tree.total:
        return "no samples"
    kernel = float(tree.self[tree.kind == KINDS.index("kernel")].sum()) / tree.total
    used = tree.total * (tree.period_ns or 0) / 1e9 / seconds
    return f"{tree.total:,} samples, {used:.0%} of a CPU, {kernel:.0%} of it in the kernel"


def _calls(calls: pl.DataFrame, seconds: float) -> str:
    total = int(calls["calls"].sum())
    return f"{total:,} of {len(calls)} kinds, {total / seconds:,.0f} a second"


def _top(calls: pl.DataFrame, column: str) -> list[tuple[str, float]]:
    rows = calls.sort(column, descending=True).head(SHOWN)
    return list(zip(rows["name"].to_list(), rows[column].to_list(), strict=True))


def _slowest(rec: Recording) -> list[tuple[str, float]]:
    """Return the workers' calls with the longest 99th percentile, in ns.

    Calls made fewer than ten times are left out; so are other threads, which wait by design.
    """
    import polars as pl

    calls = syscalls.summary(rec.where(comm=WORKERS)).filter(pl.col("calls") >= 10)
    return _top(calls.with_columns(pl.col("p99").cast(pl.Int64)).drop_nulls("p99"), "p99")


def _errors(rec: Recording) -> str:
    found = syscalls.errors(rec)
    rows = [(f"{row[0]} {row[1]}", row[2]) for row in found["name", "error", "calls"].rows()]
    return _listed(rows[:SHOWN], lambda count: f"{count:,.0f}")


def _losses(rec: Recording) -> str:
    rows = loss_summary(rec).iter_rows(named=True)
    return "; ".join(
        f"{row['kind']}: {row['dropped']:,} of {row['produced']:,} events"
        + (f" ({row['reasons']})" if row["reasons"] else "")
        for row in rows
    )


def _overhead(rec: Recording) -> str:
    programs = float(overhead_summary(rec)["cpu_share"].drop_nulls().sum())
    used = rec.manifest.recorder
    text = f"BPF programs {programs:.1%} of a CPU"
    if used.get("wall_ns"):
        text += f", recorder {used['cpu_ns'] / used['wall_ns']:.1%}"
    return text


def _listed(rows: Sequence[tuple[str, float]], text: Callable[[float], str]) -> str:
    return ", ".join(f"{name} {text(value)}" for name, value in rows) or "–"
