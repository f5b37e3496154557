"""What each command does. Heavy imports wait until a command needs them."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.cli.termination import cleaning_up
from workbench.kinds import all_kinds
from workbench.summary import imported_from, time_known

if TYPE_CHECKING:
    from workbench.session import Session

OPTIONS = ("pid", "cgroup", "comm", "duration", "ring_bytes", "transport", "overhead")


def doctor(_args: Namespace) -> int:
    """Print what can be captured here; exit code 1 if nothing."""
    from workbench.diagnosis import Doctor

    found = Doctor()
    print(json.dumps(found.to_dict(), indent=1) if _args.json else repr(found))
    return 0 if found.ok else 1


def kinds(args: Namespace) -> int:
    """Print the capture kinds with their parameters."""
    if args.json:
        listing = [
            {
                "kind": kind.name,
                "answers": kind.answers,
                "probes": list(kind.probes),
                "cost": kind.cost,
                "parameters": {
                    p.name: {"default": p.default, "help": p.help} for p in kind.parameters
                },
            }
            for kind in all_kinds().values()
        ]
        print(json.dumps(listing, indent=1))
        return 0
    for kind in all_kinds().values():
        print(f"{kind.name:<10}{kind.answers}")
        print(f"{'':<10}probes: {', '.join(kind.probes)}; cost: {kind.cost}")
        for p in kind.parameters:
            flag = "--" + p.name.replace("_", "-")
            print(f"{'':<10}  {flag:<18}{p.help} (default {p.default})")
    return 0


def record(args: Namespace) -> int:
    """Capture into a session; Ctrl-C stops it and keeps what was captured."""
    from workbench.client import capture

    names = {p.name for kind in all_kinds().values() for p in kind.parameters}
    parameters = {n: v for n in names if (v := getattr(args, n)) is not None}
    output = args.output or f"{args.kinds.replace(',', '-')}-{time.strftime('%Y%m%d-%H%M%S')}.wb"
    made = capture(
        args.kinds,
        command=args.command or None,
        output=output,
        overwrite=args.force,
        system_wide=args.system_wide,
        follow=not args.no_follow,
        progress=False if args.quiet or args.json else None,
        wait=False,
        **{name: getattr(args, name) for name in OPTIONS},
        **parameters,
    )
    session = made.start().wait()
    if args.json:
        print(json.dumps(describe(session) | {"exit_code": made.exit_code}, indent=1))
    else:
        print(text(session), file=sys.stderr)
    return made.exit_code or 0


def info(args: Namespace) -> int:
    """Print what a session holds."""
    session = _open(args)
    print(json.dumps(describe(session), indent=1) if args.json else text(session))
    return 0


def open_report(args: Namespace) -> int:
    """Make the report and show it in the browser."""
    import webbrowser

    session = _open(args)
    folder = Path(tempfile.mkdtemp(prefix="workbench-report-"))
    path = session.report(folder / f"{Path(args.session).stem}.html")
    print(path)
    if not args.no_browser and not webbrowser.open(path.as_uri()):
        print("workbench: no browser was found; open the file yourself.", file=sys.stderr)
    return 0


def sql(args: Namespace) -> int:
    """Print the result of a query as a table, or as one JSON object a row."""
    import polars as pl

    result = _open(args).sql(args.query)
    if args.json:
        sys.stdout.write(result.write_ndjson())
        return 0
    with pl.Config(tbl_rows=1000, tbl_cols=-1, fmt_str_lengths=80, tbl_hide_dataframe_shape=True):
        print(result)
    return 0


@cleaning_up()
def report(args: Namespace) -> int:
    """Write all views as one HTML file."""
    print(_open(args).report(args.output or _beside(args.session, "html")))
    return 0


@cleaning_up()
def symbolize(args: Namespace) -> int:
    """Write the session with the names that can be found now; say what has none still."""
    from workbench.frames.symbols import symbol_summary

    session = _open(args)
    before = symbol_summary(session)
    made = session.symbolize(args.search, args.output, overwrite=args.force)
    after = symbol_summary(made)
    for what in ("named", "lined"):
        print(
            f"{what}: {after[what].sum():,} of {after['frames'].sum():,} frames "
            f"({before[what].sum():,} before)",
            file=sys.stderr,
        )
    for row in after.filter(after["named"] < after["frames"]).head(10).iter_rows(named=True):
        missing = row["frames"] - row["named"]
        where = f"{row['module']} (build id {row['build_id'] or 'unknown'})"
        print(f"  {missing:,} without a name in {where}", file=sys.stderr)
    print(made.path)
    return 0


def _open(args: Namespace) -> Session:
    from workbench.session import Session

    return Session.open(args.session)


def _beside(session: str, suffix: str) -> str:
    path = Path(session)
    return str(path.with_name(f"{path.name.removesuffix('.wb')}.{suffix}"))


def describe(session: Session) -> dict[str, Any]:
    """What a session holds, as plain values."""
    manifest = session.manifest
    return {
        "path": str(session.path),
        "state": session.state,
        "reason": manifest.reason,
        "kinds": {k: dict(v) for k, v in manifest.kinds.items()},
        "target": dict(manifest.target),
        "host": dict(manifest.host),
        "start_ns": manifest.start_ns,
        "stop_ns": manifest.stop_ns,
        "tables": {name: table.num_rows for name, table in session.tables.items()},
        "losses": [dict(row) for row in manifest.losses],
        "overhead": [dict(row) for row in manifest.overhead],
        "recorder": dict(manifest.recorder),
    }


def text(session: Session) -> str:
    """What a session holds, for people."""
    about = describe(session)
    start = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(about["start_ns"] / 1e9))
    if not time_known(session.manifest):
        start = "at a time that is not known"
    seconds = (about["stop_ns"] - about["start_ns"]) / 1e9 if about["stop_ns"] else None
    host, origin = about["host"], imported_from(session.manifest)
    known = seconds is not None and (seconds or not origin)
    lines = [
        f"{about['path']}  ({about['state']}: {about['reason'] or 'no reason known'})",
        f"  captured   {start}" + (f", {seconds:.1f} s" if known else ""),
    ]
    if host:
        machine = f"{host.get('node')}, Linux {host.get('kernel')}, {host.get('machine')}"
        lines.append(f"  on         {machine}")
    lines.append(f"  imported   {origin}" if origin else f"  target     {_target(about['target'])}")
    lines += [f"  {name:<10} {rows:>12,} rows" for name, rows in about["tables"].items()]
    for kind in {row["kind"]: 0 for row in about["losses"]}:
        rows = [row for row in about["losses"] if row["kind"] == kind]
        produced = sum(row["produced"] for row in rows)
        lost = produced - sum(row["delivered"] for row in rows)
        reasons = sorted({reason for row in rows for reason in row["dropped"]})
        said = f" ({', '.join(reasons)})" if reasons else ""
        share = f"{lost / produced:.2%}" if produced else "0 %"
        lines.append(f"  lost       {lost:,} of {produced:,} {kind} events, {share}{said}")
    for row in about["overhead"]:
        if row.get("run_count"):
            lines.append(
                f"  cost       {row['program']}: {row['ns_per_run']:.0f} ns a run, "
                f"{row['cpu_share']:.2%} of a CPU"
            )
    used = about["recorder"]
    if used.get("wall_ns"):
        share = used["cpu_ns"] / used["wall_ns"]
        lines.append(
            f"  recorder   {share:.1%} of a CPU, {used['max_rss_bytes'] / 1e6:.0f} MB at most"
        )
    return "\n".join(lines)


def _target(target: dict[str, Any]) -> str:
    import shlex

    if target.get("command"):
        return shlex.join(target["command"])
    parts = [f"{name} {target[name]}" for name in ("pid", "cgroup", "comm") if target.get(name)]
    return ", ".join(parts) or "the whole machine"
