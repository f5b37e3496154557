"""`workbench probe`: the user's own probes on the command line."""

from __future__ import annotations

import json
import sys
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.cli.commands import OPTIONS, describe, text

if TYPE_CHECKING:
    from workbench.session import Session

FORMS = (
    "kprobe:FUNCTION, kretprobe:, fentry:, fexit:, uprobe:FILE:FUNCTION, uretprobe:, "
    "usdt:FILE:[PROVIDER:]NAME, tracepoint:CATEGORY:NAME, rawtp:NAME, perf:EVENT[:RATE]"
)
ABOUT = (
    "An EXPRESSION is e.g. arg0, str(arg0), args.file.f_inode.i_ino, retval, comm, or NAME=... of "
    "one. Without -o the table is printed and the session not kept."
)


def probe(args: Namespace) -> int:
    """Capture with probes; print their tables unless the session is to be kept."""
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        made = _capture(args, args.output or str(Path(folder) / "probe.wb"))
        session = made.start().wait()
        if args.output and args.json:
            print(json.dumps(describe(session) | {"exit_code": made.exit_code}, indent=1))
        elif args.output:
            print(text(session), file=sys.stderr)
        else:
            _print(session, as_json=args.json)
        session.close()
    return made.exit_code or 0


def _capture(args: Namespace, output: str) -> Any:
    from workbench.own_probes import probe as start

    counted = ["count"] if args.count_by and not args.aggregate else []
    return start(
        args.probes,
        fields=args.field or None,
        filter=args.filter,
        aggregate=[*args.aggregate, *counted] or None,
        by=[*args.by, *args.count_by] or None,
        latency=args.latency,
        stacks=args.stacks,
        string_size=args.string_size,
        max_groups=args.max_groups,
        name=args.name,
        command=args.command or None,
        output=output,
        overwrite=args.force,
        system_wide=args.system_wide,
        follow=not args.no_follow,
        progress=False if args.quiet or args.json else None,
        wait=False,
        **{name: getattr(args, name) for name in OPTIONS},
    )


def _print(session: Session, *, as_json: bool) -> None:
    """Print the tables of a session that is not kept: all events, or the groups at the end."""
    import polars as pl

    for name, given in session.manifest.kinds.items():
        frame = session[name].polars()
        if given.get("aggregate") or given.get("by"):
            frame = frame.filter(pl.col("ts") == pl.col("ts").max()).drop("ts")
            frame = frame.sort("count", descending=True)
        if as_json:
            sys.stdout.write(_plain(frame).write_ndjson())
            continue
        with pl.Config(tbl_rows=1000, tbl_cols=-1, fmt_str_lengths=80, tbl_width_chars=200):
            print(f"{name}: {given['probe']}")
            print(frame)
    lost = int(session.losses["dropped"].sum())
    if lost:
        print(f"workbench: {lost:,} events were lost.", file=sys.stderr)


def _plain(frame: Any) -> Any:
    import polars as pl

    return frame.with_columns(pl.selectors.duration().cast(pl.Int64))
