"""``workbench export``: write a session or a part of it in another format, or send it."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.cli.help_text import HelpWithFormats
from workbench.cli.streams import STANDARD, progress_line, write_output
from workbench.cli.termination import cleaning_up
from workbench.errors import ExportError, ParameterError
from workbench.exporting import SEND, SETTINGS, Export, remark
from workbench.part import COLUMNS, Part

if TYPE_CHECKING:
    from workbench.formats.otlp.sending.report import SendReport

EXAMPLES = """\
examples:
  workbench export run.wb -o run.pb.gz                   # the name tells the format: pprof
  workbench export run.wb --format folded -o - | flamegraph.pl > run.svg
  workbench export run.wb -o part.speedscope.json --window 1.0:2.5 --where comm=api-worker-0
  workbench export run.wb --endpoint http://collector:4318 --test     # is it there?
  workbench export run.wb --endpoint http://collector:4318 --signals traces,profiles
"""
PROTOCOLS = ("grpc", "http/protobuf", "http/json")


def add_to(parser: HelpWithFormats) -> None:
    """Add the arguments of the command."""
    parser.usage = "workbench export FILE.wb [--format FORMAT] [-o OUTPUT] [options]"
    parser.description = "Write a session, or a part of it, in another format; or send it."
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.formats = ("written",)
    parser.add_argument("session", metavar="FILE.wb")
    parser.add_argument(
        "--format", help=f"where the output's name does not tell it; {SEND} sends to a receiver"
    )
    parser.add_argument(
        "--table", help="table to write; by default the events of the first kind, or CPU samples"
    )
    parser.add_argument(
        "-o", "--output", help="file to write, by default beside the session; - for stdout"
    )
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
    parser.set_defaults(run=run, refuse=parser.error)


@cleaning_up()
def run(args: Namespace) -> int:
    """Export; exit code 1 if the receiver did not take everything."""
    from workbench.session import open_session

    chosen = _export(args)
    if args.test:
        return _test(chosen)
    with open_session(args.session) as session:
        rec = _part(args).of(session)
        if args.output == STANDARD:
            write_output(rec, chosen.format, chosen.table)
        else:
            with progress_line() as show:
                made = chosen.run(rec, show)
        if chosen.format != SEND and (text := remark(rec, chosen.format, chosen.table)):
            print(f"workbench: {text}", file=sys.stderr)
    if args.output == STANDARD:
        return 0
    if isinstance(made, Path):
        print(made)
        return 0
    return _tell(made)


def _tell(report: SendReport) -> int:
    print(report)
    report.check()
    return 0 if report.ok else 1


def _test(chosen: Export) -> int:
    from workbench.formats.otlp.sending.connection import test_connection

    found = test_connection(signals=chosen.signals, **chosen.options)
    print(found)
    return 0 if found.ok else 1


def _export(args: Namespace) -> Export:
    options: dict[str, Any] = {name: getattr(args, name) for name in SETTINGS}
    options["headers"] = dict(_pair(text, "--header") for text in args.header) or None
    given = {name: value for name, value in options.items() if value is not None}
    format = args.format or _told(args, bool(given or args.signals or args.test))
    if format != SEND and (given or args.signals or args.test):
        name = next(iter(given), "signals" if args.signals else "test")
        raise ParameterError(f"--{name.replace('_', '-')} belongs to --format {SEND}.")
    if format == SEND and (args.output or args.table):
        raise ParameterError(f"--format {SEND} writes no file and takes no table.")
    signals = tuple(args.signals.split(",")) if args.signals else Export.signals
    made = Export(format=format, table=args.table, signals=signals, options=given)
    beside = made.beside(args.session)
    return replace(made, output=args.output or beside)


def _told(args: Namespace, receiver: bool) -> str:
    """Return the format that the other arguments tell."""
    from workbench.formats import format_of, writable

    if receiver and not args.output:
        return SEND
    if args.output and (found := format_of(args.output)):
        return found
    known = ", ".join([*writable(), SEND])
    if not args.output or args.output == STANDARD:
        args.refuse(f"needed: a file whose end tells the format, or --format: {known}")
    ends = ", ".join(each.suffix for each in writable().values())
    raise ExportError(
        f"{args.output} does not tell a format.",
        why=f"These ends of names are known: {ends}",
        advice=f"Name one: --format FORMAT, of {known}",
    )


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
