"""What the benches show: tables for people, JSON for machines."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from benches.goals import Goal, goals, ratios
from benches.harness import Plan, Result, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import JustifyMethod

PACKAGES = (
    "ebpf-workbench",
    "numpy",
    "pyarrow",
    "polars",
    "pandas",
    "grpcio",
    "urllib3",
    "opentelemetry-sdk",
)
SHARES = ("dropped_share", "consumer_cpu", "recorder_cpu")
FINE_SHARES = ("whole", "slowed", "cpu_more", "bpf_cpu")
"""Shares of which hundredths of a percent tell something."""
TEXTS = ("note", "steps", "incomplete", "ends", "runs_text")


def cell(key: str, value: Any) -> str:
    """Return a value as the table shows it."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if key in SHARES:
        return f"{value:.1%}" if value else "0"
    if key in FINE_SHARES:
        return f"{value:.2%}"
    if abs(value) >= 1e9:
        return "–"  # a consumer that used no CPU
    if abs(value) >= 1e5:
        return f"{value / 1e6:.3f} M"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"


def table(result: Result) -> Table:
    """Return a result as a table."""
    made = Table(title=result.title, title_justify="left", title_style="bold")
    made.add_column("", no_wrap=True)
    for key, heading in result.columns.items():
        justify: JustifyMethod = "left" if key in TEXTS else "right"
        made.add_column(heading, justify=justify, overflow="fold")
    for row in result.rows:
        style = "bold" if row["name"].startswith("workbench") else ""
        made.add_row(row["name"], *(cell(k, row.get(k)) for k in result.columns), style=style)
    return made


def ratio_table(found: Mapping[str, Mapping[str, float | None]]) -> Table:
    """Return the ratios as a table."""
    made = Table(title="The workbench against its peers", title_justify="left", title_style="bold")
    made.add_column("")
    made.add_column("times better than")
    for text, peers in found.items():
        made.add_row(text, "\n".join(f"{v:6.2f}  {peer}" for peer, v in peers.items() if v))
    return made


def goal_table(found: list[Goal]) -> Table:
    """Return the goals as a table."""
    made = Table(title="Goals", title_justify="left", title_style="bold")
    for heading in ("", "goal", "here", ""):
        made.add_column(heading, justify="right" if heading else "left")
    for goal in found:
        sign = "≥" if goal.at_least else "≤"
        verdict = {True: "reached", False: "not reached", None: "not measured"}[goal.reached]
        made.add_row(goal.text, f"{sign} {cell('', goal.goal)}", cell("", goal.value), verdict)
    return made


def document(results: Mapping[str, Result], plan: Plan) -> dict[str, Any]:
    """Return all that was measured as one JSON value."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": {
            "machine": platform.machine(),
            "kernel": platform.release(),
            "cpus": os.cpu_count(),
            "load": os.getloadavg(),
            "python": platform.python_version(),
            "packages": {name: _version(name) for name in PACKAGES},
        },
        "plan": vars(plan),
        "results": {name: plain(result) for name, result in results.items()},
        "ratios": ratios(results),
        "goals": [vars(goal) | {"reached": goal.reached} for goal in goals(results)],
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def write(path: Path, made: dict[str, Any]) -> None:
    """Write the document, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    part.replace(path)


def show(results: Mapping[str, Result], console: Console) -> None:
    """Print ratios and goals."""
    found = ratios(results)
    if found:
        console.print(ratio_table(found))
    console.print(goal_table(goals(results)))
