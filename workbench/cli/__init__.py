"""The command line: each command is a function of ``commands`` with its arguments here.

Errors of the workbench are caught here and nowhere else; they end with exit code 1, wrong
arguments with 2. ``workbench record -- COMMAND`` ends with the command's own exit code.
"""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Sequence

from workbench import kinds
from workbench._version import __version__
from workbench.cli import commands, convert_command, export_command, probe_command
from workbench.cli import maps as own_maps
from workbench.cli.help_text import HelpWithFormats
from workbench.errors import WorkbenchError
from workbench.kinds import Parameter

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
EPILOG = """\
examples:
  workbench record cpu,syscalls -o run.wb -- python3 job.py
  workbench record cpu --pid 1234 --hz 999 --duration 10 -o run.wb
  workbench probe uprobe:libc:malloc --field size=arg0 --filter 'arg0 >= 4096' --pid 1234
  workbench sql run.wb 'select name, count(*) as calls from syscalls group by name'
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="workbench",
        description="Capture what programs do with eBPF; explore it as dataframes.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"workbench {__version__}")
    sub = parser.add_subparsers(
        dest="name", required=True, metavar="COMMAND", parser_class=HelpWithFormats
    )

    doctor = sub.add_parser("doctor", help="say what can be captured here, and what is missing")
    _json(doctor)
    doctor.set_defaults(run=commands.doctor)

    listing = sub.add_parser("kinds", help="list the capture kinds")
    _json(listing)
    listing.set_defaults(run=commands.kinds)

    _record(sub.add_parser("record", help="capture into a session"))
    _probe(sub.add_parser("probe", help="capture at a place of the kernel or of a program"))

    info = sub.add_parser("info", help="say what a session holds, lost and cost")
    _session(info)
    _json(info)
    info.set_defaults(run=commands.info)

    show = sub.add_parser("open", help="show a session's report in the browser")
    _session(show)
    show.add_argument("--no-browser", action="store_true", help="only print where the report is")
    show.set_defaults(run=commands.open_report)

    sql = sub.add_parser("sql", help="query a session's tables")
    _session(sql)
    sql.add_argument("query", help="the tables are those that `workbench info` lists")
    _json(sql)
    sql.set_defaults(run=commands.sql)

    export_command.add_to(sub.add_parser("export", help="write it in another format, or send it"))
    convert_command.add_to(
        sub.add_parser("convert", help="make a session of another tool's file, or the reverse")
    )

    symbolize = sub.add_parser("symbolize", help="look for names and lines of frames again")
    _session(symbolize)
    symbolize.add_argument(
        "--search", action="append", default=[], metavar="PATH",
        help="program, debug file, or a folder with such; may be given several times",
    )  # fmt: skip
    symbolize.add_argument("-o", "--output", help="by default NAME.symbolized.wb beside it")
    symbolize.add_argument("--force", action="store_true", help="replace an existing file")
    symbolize.set_defaults(run=commands.symbolize)

    own_maps.add_to(sub.add_parser("maps", help="list or dump the maps of running captures"))

    report = sub.add_parser("report", help="write all views as one HTML file")
    _session(report)
    report.add_argument("-o", "--output", help="file to write, by default beside the session")
    report.set_defaults(run=commands.report)
    return parser


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")


def _session(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", metavar="FILE.wb")


def _record(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kinds", metavar="KIND[,KIND...]")
    parser.usage = "workbench record KIND[,KIND...] [options] [-- COMMAND ...]"
    _capturing(parser)
    for parameter in _all_parameters():
        _add_parameter(parser, parameter)
    parser.set_defaults(run=commands.record)


def _capturing(parser: argparse.ArgumentParser) -> None:
    """Add what all captures take: the target, the output, the recorder's settings."""
    target = parser.add_argument_group(
        "target (one is needed)", "-- COMMAND starts a command and captures it from its first call"
    )
    target.add_argument("--pid", type=int, help="a process, its threads and its descendants")
    target.add_argument("--cgroup", help="a cgroup v2, by its path, or a container, by its id")
    target.add_argument("--comm", help="threads of that name")
    target.add_argument("--system-wide", action="store_true", help="everything on this machine")
    target.add_argument("--no-follow", action="store_true", help="leave out child processes")
    parser.add_argument("--duration", type=float, metavar="S", help="stop after S seconds")
    parser.add_argument("-o", "--output", metavar="FILE.wb", help="by default KINDS-TIME.wb here")
    parser.add_argument("--force", action="store_true", help="replace an existing session")
    parser.add_argument("--ring-bytes", type=int, help="each CPU's event buffer, a power of two")
    parser.add_argument("--transport", default="auto", choices=("auto", "ring", "perf"))
    parser.add_argument("--overhead", default="sampled", choices=("sampled", "always", "off"))
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    _json(parser)


def _many(group: argparse._ArgumentGroup, flag: str, text: str) -> None:
    group.add_argument(flag, action="append", default=[], metavar="EXPRESSION", help=text)


def _probe(parser: argparse.ArgumentParser) -> None:
    parser.usage = "workbench probe PROBE [PROBE ...] [options] [-- COMMAND ...]"
    parser.add_argument("probes", metavar="PROBE", nargs="+", help=probe_command.FORMS)
    own = parser.add_argument_group("what to take", probe_command.ABOUT)
    _many(own, "--field", "a field; all arguments if none is given")
    own.add_argument("--filter", default="", help="comparisons joined by `and`")
    _many(own, "--aggregate", "count, sum(x), avg(x), min(x), max(x), hist(x)")
    _many(own, "--by", "a field that makes groups")
    _many(own, "--count-by", "count in groups of that field")
    own.add_argument("--latency", action="store_true", help="from a function's entry to its return")
    own.add_argument("--stacks", action="store_true", help="take the stack with each event")
    own.add_argument("--string-size", type=int, default=128, help="bytes for each text")
    own.add_argument("--max-groups", type=int, default=4096, help="groups there is room for")
    own.add_argument("--name", help="of the table")
    _capturing(parser)
    parser.set_defaults(run=probe_command.probe)


def _all_parameters() -> list[Parameter]:
    """Parameters of all kinds, each name once."""
    found = {p.name: p for kind in kinds.all_kinds().values() for p in kind.parameters}
    return list(found.values())


def _add_parameter(parser: argparse.ArgumentParser, parameter: Parameter) -> None:
    flag = "--" + parameter.name.replace("_", "-")
    if isinstance(parameter.default, bool):
        action = argparse.BooleanOptionalAction
        parser.add_argument(flag, dest=parameter.name, action=action, help=parameter.help)
    elif isinstance(parameter.default, tuple):
        parser.add_argument(
            flag,
            dest=parameter.name,
            type=lambda text: tuple(text.split(",")),
            metavar="A,B",
            help=parameter.help,
        )
    else:
        parser.add_argument(
            flag, dest=parameter.name, type=type(parameter.default), help=parameter.help
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # argparse gives what follows "--" to no positional once options stand between them.
    at = words.index("--") if "--" in words else len(words)
    own, command = words[:at], words[at + 1 :]
    parsed = build_parser().parse_args(own)
    parsed.command = command
    for stream in (sys.stdout, sys.stderr):  # an ASCII terminal, a path that is no UTF-8
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = int(parsed.run(parsed))
        sys.stdout.flush()  # here and not at exit, so that a closed pipe is seen below
    except WorkbenchError as error:
        print(f"workbench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # | head
        _close_output()
        return 0
    except OSError as error:
        if error.filename is not None or error.errno not in _FULL:
            raise  # files of sessions and exports have errors of their own
        _close_output()
        print(f"workbench: The output cannot be written: {error.strerror}.", file=sys.stderr)
        return 1
    return code


def _close_output() -> None:
    """Let what is still buffered go nowhere when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
