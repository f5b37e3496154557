"""A report: everything that a recording shows, in one HTML file that needs nothing else."""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from workbench.frames.losses import lossy
from workbench.frames.needs import has
from workbench.frames.offcpu import EVENTS as OFFCPU
from workbench.frames.processes import processes
from workbench.frames.syscalls import AGGREGATED, EVENTS
from workbench.summary import imported_from, time_known
from workbench.views import findings, html, kind_findings, summaries, units
from workbench.views.flamegraph import Flamegraph
from workbench.views.hotspots import Hotspots
from workbench.views.losses import loss_table, overhead_table, problem_list, recorder_sentence
from workbench.views.offcpu import OffcpuOverview
from workbench.views.syscalls import SyscallOverview
from workbench.views.tables import banner, table

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

MAX_PROCESSES = 500
MAX_KINDS_IN_TITLE = 3


def report(rec: Recording, path: str | os.PathLike[str], *, title: str = "") -> Path:
    """Write a report of a recording and return its path.

    It holds what the recording allows: findings, a flamegraph and hot spots for every kind with
    stacks, the overviews of off-CPU time and of system calls, tables of the other kinds and of the
    user's own probes, processes, losses and overhead.

    Parameters
    ----------
    rec : Recording
        Its selection (``window``, ``where``) is honoured and named in the head.
    path : path
        HTML file to write.
    title : str, optional
        By default what was captured of what.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    title = title or _title(rec)
    return html.save(html.page(title, render(rec, title)), Path(path))


def render(rec: Recording, title: str) -> str:
    """Return the body of the report as HTML."""
    found: list[findings.Finding] = []
    sections: list[tuple[str, str]] = []
    for kind in _kinds_with_stacks(rec):
        graph = Flamegraph.of(rec, kind, title="")
        if kind == "cpu":
            found += findings.of_profile(graph.tree, imported=bool(imported_from(rec.manifest)))
        sections.append((f"Flamegraph: {kind}", graph.fragment()))
        sections.append((f"Hot spots: {kind}", Hotspots(rec, kind, title="").fragment()))
    if has(rec, OFFCPU) and "state" in rec[OFFCPU].schema.names:  # not in imported profiles
        waits = OffcpuOverview(rec, title="")
        found += findings.of_offcpu(waits)
        sections.append(("Off-CPU time", waits.fragment()))
    if has(rec, EVENTS) or has(rec, AGGREGATED):
        overview = SyscallOverview(rec, title="")
        found += findings.of_syscalls(overview)
        sections.append(("System calls", overview.fragment()))
    sections += summaries.sections(rec)
    found += kind_findings.of_kinds(rec)
    if not imported_from(rec.manifest):  # profiles tell of no starts, ends and losses
        found += findings.of_processes(rec) + findings.of_recording(rec)
    if has(rec, "processes"):
        sections.append(("Processes", f'<div class="wb">{_processes(processes(rec))}</div>'))
    if imported_from(rec.manifest):  # nothing was counted of it
        if problems := problem_list(rec):
            sections.append(("Problems", f'<div class="wb">{problems}</div>'))
    else:
        losses = f'<div class="wb">{problem_list(rec)}{loss_table(rec)}</div>'
        sections.append(("Losses", losses))
        cost = f"<p>{html.escape(recorder_sentence(rec))}</p>"
        sections.append(("Overhead", f'<div class="wb">{overhead_table(rec)}{cost}</div>'))
    return (
        f'<main class="wb wb-report">{_head(rec, title)}{banner(lossy(rec))}'
        f"{_findings(found) if found else ''}"
        f"{''.join(_section(*section) for section in sections)}{_foot(rec)}</main>"
    )


def _title(rec: Recording) -> str:
    target = _target(rec, short=True)
    many = len(rec.kinds) > MAX_KINDS_IN_TITLE
    kinds = f"{len(rec.kinds)} kinds" if many else " and ".join(rec.kinds) or "Recording"
    return f"{kinds}: {target}" if target else kinds


def _target(rec: Recording, *, short: bool = False) -> str:
    """Return what was traced: the command (its name and no options if ``short``) or filters."""
    target = rec.manifest.target
    command = target.get("command")
    if isinstance(command, list | tuple) and command:
        words = [str(word) for word in command]
        return _short(words) if short else shlex.join(words)
    if imported := imported_from(rec.manifest):
        return imported
    known = {key: value for key, value in target.items() if value not in (None, "", [], {})}
    return ", ".join(f"{key} {value}" for key, value in known.items())


def _short(words: list[str]) -> str:
    name = PurePath(words[0]).name
    plain = itertools.takewhile(lambda word: not word.startswith("-"), words[1:])
    return shlex.join([name, *plain])


def _head(rec: Recording, title: str) -> str:
    facts = [
        ("captured", ", ".join(_kind_text(kind, rec) for kind in rec.kinds)),
        ("imported" if imported_from(rec.manifest) else "target", _target(rec)),
        ("host", _host(rec.manifest.host)),
        ("kernel", str(rec.manifest.host.get("kernel", ""))),
        ("when", f"{rec.start:%Y-%m-%d %H:%M:%S} UTC" if time_known(rec.manifest) else ""),
        ("duration", _duration(rec)),
        ("rows", ", ".join(f"{name} {rec[name].num_rows:,}" for name in rec.tables)),
        ("state", " – ".join(filter(None, (rec.state, rec.manifest.reason)))),
        ("selection", rec.selection.describe()),
    ]
    rows = "".join(
        f"<div><dt>{html.escape(label)}</dt><dd>{html.escape(value)}</dd></div>"
        for label, value in facts
        if value
    )
    heading = f"<h1>{html.escape(title)}</h1>"
    return f'<header class="wb-head">{heading}<dl class="wb-facts">{rows}</dl></header>'


def _duration(rec: Recording) -> str:
    nothing = imported_from(rec.manifest) and not rec.duration
    return "" if nothing else units.duration(rec.duration.total_seconds() * 1e9)


def _host(host: Mapping[str, object]) -> str:
    if not host:
        return ""
    machine = f"{host.get('machine', '?')}, {host.get('cpus', '?')} CPUs"
    return f"{host.get('node', '?')} ({machine})"


def _kind_text(kind: str, rec: Recording) -> str:
    hz = rec.manifest.kinds.get(kind, {}).get("hz")
    return f"{kind} at {hz} Hz" if hz else kind


def _kinds_with_stacks(rec: Recording) -> list[str]:
    if not (has(rec, "stacks") and has(rec, "frames")):
        return []
    return [kind for kind in rec.kinds if has(rec, kind) and "stack_id" in rec[kind].schema.names]


def _findings(found: Sequence[findings.Finding]) -> str:
    rows = "".join(
        f"<div><dt>{html.escape(what)}</dt><dd>{html.escape(text)}</dd></div>"
        for what, text in found
    )
    return f'<section class="wb-findings"><h2>In short</h2><dl>{rows}</dl></section>'


def _section(title: str, content: str) -> str:
    return f'<section class="wb-section"><h2>{html.escape(title)}</h2>{content}</section>'


def _processes(found: pl.DataFrame) -> str:
    rows = [
        (
            row["pid"],
            row["ppid"],
            row["comm"],
            row["threads"],
            _clock(row["started"]),
            _clock(row["ended"]),
            _ending(row["exit_status"], row["exit_signal"]),
            row["cmdline"] or row["exe"],
        )
        for row in found.head(MAX_PROCESSES).iter_rows(named=True)
    ]
    if not rows:
        return '<p class="wb-muted">No processes were seen.</p>'
    head = ("pid", "parent", "name", "threads", "started", "ended", "exit", "command line")
    more = len(found) - len(rows)
    rest = f'<p class="wb-muted">{more:,} more are in the table processes.</p>' if more else ""
    return table(head, rows, numeric=(0, 1, 3), wide=(7,)) + rest


def _clock(time: object) -> str:
    return f"{time:%H:%M:%S.%f}"[:-3] if time else "–"


def _ending(status: int | None, signal: int | None) -> str:
    if signal is not None:
        return f"signal {signal}"
    return "–" if status is None else str(status)


def _foot(rec: Recording) -> str:
    version = html.escape(rec.manifest.workbench)
    done = "Imported" if imported_from(rec.manifest) else "Recorded"
    return f'<footer class="wb-muted">{done} with ebpf-workbench {version}.</footer>'
