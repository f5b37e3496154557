"""``workbench convert``: a session of another tool's file, the reverse, or both."""

from __future__ import annotations

import argparse
from argparse import Namespace
from pathlib import Path

from workbench.cli.help_text import HelpWithFormats
from workbench.cli.streams import STANDARD, input_file, progress_line, write_output
from workbench.cli.termination import cleaning_up
from workbench.errors import ExportError

EXAMPLES = """\
examples:
  workbench convert profile.pb.gz profile.wb            # then: workbench open profile.wb
  workbench convert perf.data flame.speedscope.json     # one tool's file for another
  perf script | workbench convert - run.wb
  workbench convert run.wb - --to folded | flamegraph.pl > run.svg
"""


def add_to(parser: HelpWithFormats) -> None:
    """Add the arguments of the command."""
    parser.description = "Make a session of another tool's file, or the reverse, or both at once."
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.formats = ("read", "written")
    parser.add_argument(
        "input", metavar="IN", help="a session or a file: its content tells what; - for stdin"
    )
    parser.add_argument(
        "output", metavar="OUT", help="a session if it ends in .wb, else a file; - for stdout"
    )
    parser.add_argument(
        "--from", dest="source", metavar="FORMAT", help="of IN, where its content does not tell"
    )
    parser.add_argument(
        "--to", metavar="FORMAT", help="of OUT, where the end of its name does not tell"
    )
    parser.add_argument("--table", help="table to write, where OUT holds one; default as of export")
    parser.add_argument("--force", action="store_true", help="replace an existing session")
    parser.set_defaults(run=run)


@cleaning_up()
def run(args: Namespace) -> int:
    """Make a session of a file, a file of a session, or a file of a file."""
    from workbench.importing import convert_file, opened

    with input_file(args.input) as given:
        if args.output == STANDARD:
            if args.to is None:
                raise ExportError("Standard output does not tell a format.", advice="Name it: --to")
            with opened(given, args.source, lambda _: None) as rec:
                write_output(rec, args.to, args.table)
            return 0
        with progress_line() as show:
            made = convert_file(
                given, args.output, source=args.source, to=args.to, table=args.table,
                overwrite=args.force, progress=show,
            )  # fmt: skip
    print(Path(made))
    return 0
