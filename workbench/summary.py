"""What a session says about itself: its repr, its small HTML table, losses and overhead."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from workbench.store.manifest import Manifest

if TYPE_CHECKING:
    import polars as pl

    from workbench.recording import Recording

_STYLE = "text-align:left;padding:0 1em 0 0"


def imported_from(manifest: Manifest) -> str:
    """Return the file that a session was made of, and its format; "" for a captured one."""
    told = manifest.target.get("imported")
    return f"{told.get('file')} ({told.get('format')})" if isinstance(told, dict) else ""


def time_known(manifest: Manifest) -> bool:
    """Return whether the start of a session is known: some profiles do not tell theirs."""
    told = manifest.target.get("imported")
    return not isinstance(told, dict) or bool(told.get("time_known"))


def lost_share(manifest: Manifest) -> float:
    """Return the share of produced events that were dropped, 0 to 1."""
    produced = sum(row["produced"] for row in manifest.losses)
    dropped = sum(sum(row["dropped"].values()) for row in manifest.losses)
    return dropped / produced if produced else 0.0


def facts(rec: Recording) -> dict[str, str]:
    """Return the few facts that a session is known by, as texts by label."""
    manifest = rec.manifest
    rows = {name: f"{manifest.rows(name):,}" for name in manifest.tables}
    command = manifest.target.get("command")
    target = " ".join(map(str, command)) if isinstance(command, list) else ""
    lost = lost_share(manifest)
    start = f"{rec.start:%Y-%m-%d %H:%M:%S} UTC" if time_known(manifest) else "not known"
    found = {
        "session": str(rec.path),
        "kinds": ", ".join(rec.kinds),
        "state": rec.state + (f" ({manifest.reason})" if manifest.reason else ""),
        "start": f"{start}, {_seconds(manifest)}",
        "host": " ".join(str(manifest.host.get(key, "")) for key in ("node", "kernel", "machine")),
        "target": target or str(manifest.target.get("pid", "")),
        "imported": imported_from(manifest),
        "rows": ", ".join(f"{name} {count}" for name, count in rows.items()),
        "lost": f"{lost:.2%} of the events" if lost else "",
        "problems": " ".join(manifest.problems),
        "selection": rec.selection.describe(),
    }
    return {label: value.strip() for label, value in found.items() if value.strip()}


def as_text(rec: Recording) -> str:
    """Return the repr of a recording: one line per fact."""
    found = facts(rec)
    title = f"<{type(rec).__name__} {found.pop('session')}"
    return "\n".join([title, *(f"  {label}: {value}" for label, value in found.items())]) + ">"


def as_html(rec: Recording) -> str:
    """Return a small HTML table; everything in it is escaped."""
    rows = "".join(
        f'<tr><th style="{_STYLE}">{escape(label)}</th>'
        f'<td style="{_STYLE}">{escape(value)}</td></tr>'
        for label, value in facts(rec).items()
    )
    return f"<table>{rows}</table>"


def losses_frame(manifest: Manifest) -> pl.DataFrame:
    """Return the losses of a session.

    Returns
    -------
    polars.DataFrame
        ``kind``, ``cpu``, ``produced``, ``delivered``, ``dropped`` (all reasons), and one
        column per reason, in events.
    """
    import polars as pl

    reasons = sorted({reason for row in manifest.losses for reason in row["dropped"]})
    count = pl.UInt64
    schema = {"kind": pl.String, "cpu": pl.UInt32, "produced": count, "delivered": count}
    schema |= {"dropped": count} | dict.fromkeys(reasons, count)
    rows = [
        [row["kind"], row["cpu"], row["produced"], row["delivered"]]
        + [min(sum(row["dropped"].values()), (1 << 64) - 1)]
        + [row["dropped"].get(reason, 0) for reason in reasons]
        for row in manifest.losses
    ]
    return pl.DataFrame(rows, schema=schema, orient="row")


def overhead_frame(manifest: Manifest) -> pl.DataFrame:
    """Return the measured cost of each program.

    Returns
    -------
    polars.DataFrame
        ``kind``, ``program``, ``run_count``, ``run_time_ns``, ``sampled_ns`` (how long was
        measured), ``ns_per_run``, ``cpu_share`` (1 is one whole CPU).
    """
    import polars as pl

    schema = {
        "kind": pl.String,
        "program": pl.String,
        "run_count": pl.UInt64,
        "run_time_ns": pl.UInt64,
        "sampled_ns": pl.UInt64,
        "ns_per_run": pl.Float64,
        "cpu_share": pl.Float64,
    }
    rows = [[row.get(name) for name in schema] for row in manifest.overhead]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _seconds(manifest: Manifest) -> str:
    if manifest.stop_ns is None:
        return "no end recorded" if manifest.state != "recording" else "running"
    return f"{(manifest.stop_ns - manifest.start_ns) / 1e9:.3f} s"
