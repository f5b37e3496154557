"""How many stack samples reach the root of their thread, per program, and where the others end.

Each program runs twice with a cache of its own: the first time it is empty (``cold``), the second
time it holds the unwind tables (``warm``).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benches.harness import Plan, Result
from benches.whole_programs import Program, programs, remove_perf_map
from workbench.errors import WorkbenchError
from workbench.event_texts import WHOLE_STACKS

if TYPE_CHECKING:
    import polars as pl

    from workbench.session import Session

HZ = 499
STATES = ("cold", "warm")
GRACE_S = 30.0
"""Longest time that a program runs beyond its seconds; then it is ended."""
TOP = 3
COLUMNS = {
    "samples": "samples",
    "whole": "whole",
    "incomplete": "incomplete: first second + later",
    "ends": "where the walk of the code ended",
    "note": "",
}


def run(plan: Plan) -> Result:
    """Run every program cold and warm, ``2 * plan.window`` seconds each."""
    seconds = 2 * plan.window
    title = f"Stacks that reach the root ({HZ} Hz, {seconds:.0f} s each)"
    result = Result("stacks-complete", title, COLUMNS)
    with tempfile.TemporaryDirectory(prefix="workbench-bench-") as name:
        for number, program in enumerate(programs(Path(name))):
            if program.missing:
                result.notes.append(f"{program.name}: left out, {program.missing}")
                continue
            with _cache(Path(name) / f"cache-{number}"):
                for state in STATES:
                    result.rows.append(row(program, state, seconds, Path(name)))
    return result


@contextmanager
def _cache(folder: Path) -> Iterator[None]:
    """Let captures use an own cache (XDG Base Directory Specification), empty at first."""
    before = os.environ.get("XDG_CACHE_HOME")
    folder.mkdir()
    os.environ["XDG_CACHE_HOME"] = str(folder)
    try:
        yield
    finally:
        del os.environ["XDG_CACHE_HOME"]
        if before is not None:
            os.environ["XDG_CACHE_HOME"] = before


def row(program: Program, state: str, seconds: float, folder: Path) -> dict[str, Any]:
    """Capture a program and count its stacks."""
    made: dict[str, Any] = {"name": f"{program.name}, {state}", "state": state}
    try:
        session = _captured(program, seconds, folder)
    except WorkbenchError as error:
        return made | {"note": str(error)}
    try:
        frames = outermost(session)
        notes = [*session.manifest.problems]
        dropped = sum(sum(each["dropped"].values()) for each in session.manifest.losses)
        if dropped:
            notes.append(f"{dropped} events lost")
        return made | counts(frames) | {"note": "; ".join(notes)}
    finally:
        session.close()
        Path(session.path).unlink()


def _captured(program: Program, seconds: float, folder: Path) -> Session:
    import workbench as wb

    session: Session = wb.capture(
        {"cpu": {"hz": HZ}},
        command=[*program.command, str(seconds)],
        duration=seconds + GRACE_S,
        output=folder / "session.wb",
        progress=False,
    )
    remove_perf_map(int(session.manifest.target["pid"]))
    return session


def outermost(session: Session) -> pl.DataFrame:
    """Return the samples with their status and the outermost frame that is not Python's.

    The frames of Python are found without a walk, so they say nothing about where it ended.

    Returns
    -------
    polars.DataFrame
        ``ts`` (ns, UTC), ``stack_status``, ``function``, ``module``, ``offset`` (bytes in the
        module; the address for code that lies in none).
    """
    import polars as pl

    stacks = session["stacks"].polars().unique("stack_id", keep="last")
    frames = session["frames"].polars().unique("frame_id", keep="last")
    named = stacks.explode("frame_ids").join(
        frames.filter(pl.col("kind").cast(pl.String) != "python"),
        left_on="frame_ids", right_on="frame_id", maintain_order="left",
    )  # fmt: skip
    named = named.group_by("stack_id").agg(pl.col("function", "module", "offset").last())
    samples = session["cpu"].polars().with_columns(pl.col("stack_status").cast(pl.String))
    joined = samples.join(named, on="stack_id", how="left")
    return joined.select("ts", "stack_status", "function", "module", "offset")


def counts(samples: pl.DataFrame) -> dict[str, Any]:
    """Count whole stacks and say what became of the others.

    Parameters
    ----------
    samples : polars.DataFrame
        As :func:`outermost` returns them.

    Returns
    -------
    dict
        ``samples``, ``whole`` (a share; None without samples), ``incomplete`` and ``ends`` (texts).
    """
    import polars as pl

    early = pl.col("ts") < pl.col("ts").min() + pl.duration(seconds=1)
    wrong = samples.with_columns(early.alias("early")).filter(
        ~pl.col("stack_status").is_in(WHOLE_STACKS)
    )
    statuses = (
        wrong.group_by("stack_status")
        .agg(pl.col("early").sum(), (~pl.col("early")).sum().alias("later"), pl.len())
        .sort("len", "stack_status", descending=[True, False])
    )
    file = pl.col("module").str.split("/").list.last()
    ends = (
        wrong.group_by("function", file)
        .len()
        .sort("len", "function", descending=[True, False])
        .head(TOP)
    )
    return {
        "samples": len(samples),
        "whole": 1 - len(wrong) / len(samples) if len(samples) else None,
        "incomplete": ", ".join(
            f"{r['stack_status']} {r['early']} + {r['later']}"
            for r in statuses.iter_rows(named=True)
        ),
        "ends": ", ".join(
            f"{r['len']} {r['function']} ({r['module']})" for r in ends.iter_rows(named=True)
        ),
    }
