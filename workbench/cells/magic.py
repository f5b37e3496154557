"""The cell magic ``%%bpf``."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from workbench.cells.cell import bpf
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from argparse import Namespace

    from workbench.cells.cell import Cell

BPF = "bpf"


@magics_class
class BpfMagics(Magics):  # type: ignore[misc]
    """Programs of the user's own in cells."""

    @magic_arguments()  # type: ignore[untyped-decorator]
    @argument("--core", action="store_true", help="CO-RE C for libbpf, not BCC's C")  # type: ignore[untyped-decorator]
    @argument("--duration", type=float, metavar="S", help="seconds; else until interrupted")  # type: ignore[untyped-decorator]
    @argument("--command", help="command to run it for; its process is WB_PID")  # type: ignore[untyped-decorator]
    @argument("--pid", type=int, default=-1, help="process of uprobes and perf events; WB_PID")  # type: ignore[untyped-decorator]
    @argument("--attach", action="append", default=[], metavar="FUNCTION=PLACE",
              help="such as on_malloc=uprobe:c:malloc; may be given several times")  # type: ignore[untyped-decorator]  # fmt: skip
    @argument("--define", action="append", default=[], metavar="NAME=VALUE", help="a macro")  # type: ignore[untyped-decorator]
    @argument("--event", action="append", default=[], metavar="BUFFER=TYPE",
              help="C type of what a buffer sends")  # type: ignore[untyped-decorator]  # fmt: skip
    @argument("--background", action="store_true", help="go on; --into NAME, then NAME.stop()")  # type: ignore[untyped-decorator]
    @argument("--into", metavar="NAME", help="variable that keeps the result")  # type: ignore[untyped-decorator]
    @cell_magic(BPF)  # type: ignore[untyped-decorator]
    def bpf(self, line: str, cell: str) -> Cell:
        """Compile the cell, attach it, and show what it sends and counts."""
        arguments = parse_argstring(self.bpf, line)
        try:
            made = self._run(arguments, cell)
        except WorkbenchError as error:
            raise UsageError(str(error)) from None
        if arguments.into:
            self.shell.user_ns[arguments.into] = made
        return made

    def _run(self, arguments: Namespace, text: str) -> Cell:
        attach: dict[str, list[str]] = {}
        for function, place in map(_pair, arguments.attach):
            attach.setdefault(function, []).append(place)
        # Where interrupting the cell ends it, what came so far is shown.
        forever = not (arguments.duration or arguments.command or arguments.background)
        made = bpf(
            "\n" + text,  # the line of %%bpf is the cell's first one: errors count as people do
            core=arguments.core,
            attach=attach,
            duration=arguments.duration,
            command=shlex.split(_unquoted(arguments.command)) if arguments.command else None,
            pid=arguments.pid,
            defines={name: self._value(value) for name, value in map(_pair, arguments.define)},
            events=dict(map(_pair, arguments.event)),
        )
        if arguments.background:
            return made.start()
        if forever:
            with made:
                _until_interrupted()
        return made

    def _value(self, text: str) -> object:
        """A macro's value: that of a variable of the notebook, or as it is written."""
        return self.shell.user_ns.get(text, text)


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = _unquoted(text).partition("=")
    if not separator or not name or not value:
        raise UsageError(f"{text!r} is not NAME=VALUE.")
    return name.strip(), value.strip()


def _unquoted(text: str) -> str:
    """IPython leaves the quotes of an option where they are."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] in "'\"" else text


def _until_interrupted() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        pass
