"""``workbench export``: write a session or a part of it in another format, or send it."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.cli.termination import cleaning_up
from workbench.errors import ParameterError
from workbench.exporting import SEND, SETTINGS, Export, Progress
from workbench.part import COLUMNS, Part

if TYPE_CHECKING:
    from workbench.formats.otlp.report import SendReport

FORMATS = "such as csv, parquet, folded or pprof; where it is none of them, all are listed"
"""Not from the registry: its formats import numpy, and most commands do without."""
PROTOCOLS = ("grpc", "http/protobuf", "http/json")


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("session", metavar="FILE.wb")
    parser.add_argument("--format", required=True, help=f"{FORMATS}; {SEND} sends to a receiver")
    parser.add_argument("--table", help="table to write, by default the first kind's")
    parser.add_argument("-o", "--output", help="file to write, by default beside the session")
    part = parser.add_argument_group("what of the session")
    part.add_argument(
        "--window", metavar="T0:T1", help="seconds since the start (1.5:2.0), or ns since 1970"
    )
    part.add_argument(
        "--where", action="append", default=[], metavar="COLUMN=VALUE",
        help=f"rows with that value, or with one of several: {', '.join(COLUMNS)}",
    )  # fmt: skip
    way = parser.add_argument_group(
        f"where --format {SEND} goes", "what is not given is taken from OTEL_EXPORTER_OTLP_*"
    )
    way.add_argument("--endpoint", metavar="URL", help="by default http://localhost:4318")
    way.add_argument("--protocol", choices=PROTOCOLS, help="by default http/protobuf")
    way.add_argument(
        "--signals", metavar="A,B", help="traces, metrics, logs, profiles; default all"
    )
    way.add_argument(
        "--header", action="append", default=[], metavar="NAME=VALUE", help="sent with each request"
    )
    way.add_argument("--compression", choices=("none", "gzip"))
    way.add_argument("--timeout", type=float, metavar="S", help="for one attempt, by default 10")
    way.add_argument("--certificate", metavar="PEM", help="whom to trust")
    way.add_argument("--client-key", metavar="PEM")
    way.add_argument("--client-certificate", metavar="PEM")
    way.add_argument("--insecure", action=argparse.BooleanOptionalAction, help="gRPC without TLS")
    way.add_argument("--test", action="store_true", help="only ask whether the receiver is there")
    parser.set_defaults(run=run)


@cleaning_up()
def run(args: Namespace) -> int:
    """Export; exit code 1 if the receiver did not take everything."""
    from workbench.session import open_session

    chosen = _export(args)
    if args.test:
        return _test(chosen)
    with open_session(args.session) as session:
        rec = _part(args).of(session)
        with _progress() as show:
            made = chosen.run(rec, show)
    if isinstance(made, Path):
        print(made)
        return 0
    return _tell(made)


def _tell(report: SendReport) -> int:
    print(report)
    report.check()
    return 0 if report.ok else 1


def _test(chosen: Export) -> int:
    from workbench.formats.otlp.connection import test_connection

    found = test_connection(signals=chosen.signals, **chosen.options)
    print(found)
    return 0 if found.ok else 1


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """Give what shows the progress in a line of the terminal, which is gone at the end."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return

    def show(text: str) -> None:
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        print(end="\r\x1b[K", file=sys.stderr, flush=True)


def _export(args: Namespace) -> Export:
    options: dict[str, Any] = {name: getattr(args, name) for name in SETTINGS}
    options["headers"] = dict(_pair(text, "--header") for text in args.header) or None
    given = {name: value for name, value in options.items() if value is not None}
    if args.format != SEND and (given or args.signals or args.test):
        name = next(iter(given), "signals" if args.signals else "test")
        raise ParameterError(f"--{name.replace('_', '-')} belongs to --format {SEND}.")
    if args.format == SEND and (args.output or args.table):
        raise ParameterError(f"--format {SEND} writes no file and takes no table.")
    signals = tuple(args.signals.split(",")) if args.signals else Export.signals
    made = Export(format=args.format, table=args.table, signals=signals, options=given)
    beside = made.beside(args.session)
    return replace(made, output=args.output or beside)


def _part(args: Namespace) -> Part:
    where: dict[str, list[str]] = {}
    for text in args.where:
        column, value = _pair(text, "--where")
        where.setdefault(column, []).append(value)
    start, colon, stop = (args.window or ":").partition(":")
    if not colon:
        raise ParameterError(f"--window takes T0:T1, not {args.window!r}.")
    return Part(window=(start, stop), where=tuple((k, tuple(v)) for k, v in where.items()))


def _pair(text: str, flag: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        # What was written is not repeated: it may be the value of a header, which is secret.
        raise ParameterError(f"{flag} takes NAME=VALUE.", why="There is no name and '=' in it.")
    return name, value
