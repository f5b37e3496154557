"""``%load_ext workbench``: the cell magics ``%%profile`` and ``%%bpf``."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring
from IPython.display import display

from workbench.cells.magic import BPF, BpfMagics
from workbench.errors import WorkbenchError
from workbench.profiling import HZ, profile
from workbench.recorder_process import may_capture, prepare

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

NAME = "profile"


@magics_class
class WorkbenchMagics(Magics):  # type: ignore[misc]
    """Magics of the workbench."""

    @magic_arguments()  # type: ignore[untyped-decorator]
    @argument("--hz", type=int, default=HZ, help="samples a second on each CPU")  # type: ignore[untyped-decorator]
    @argument("--kinds", default="cpu", help="what to record, such as cpu,offcpu")  # type: ignore[untyped-decorator]
    @argument("--children", action="store_true", help="processes that the cell starts, too")  # type: ignore[untyped-decorator]
    @argument("--into", metavar="NAME", help="variable that keeps the profile")  # type: ignore[untyped-decorator]
    @cell_magic(NAME)  # type: ignore[untyped-decorator]
    def profile(self, line: str, cell: str) -> Any:
        """Run the cell, and show where its time went.

        The cell runs in the notebook's namespace. When it raises, the flamegraph of what ran
        before is shown, too.
        """
        __tracebackhide__ = True  # IPython leaves such frames out of tracebacks
        arguments = parse_argstring(self.profile, line)
        steps = compiled(self.shell, cell)
        try:
            recording = profile(arguments.kinds, hz=arguments.hz, children=arguments.children)
            recording.begin_with = ("<module>", steps[0][0].co_filename)
            recording.start()
        except WorkbenchError as error:
            raise UsageError(f"The cell was not run. {error}") from None
        try:
            return run(self.shell, steps)
        finally:
            recording.stop()
            if arguments.into:
                self.shell.user_ns[arguments.into] = recording
            for graph in recording.flamegraphs():
                display(graph)


def compiled(shell: InteractiveShell, cell: str) -> list[tuple[Any, str]]:
    """Return the code of a cell: its statements, and a last expression of its own.

    Raises
    ------
    SyntaxError
    """
    tree = shell.transform_ast(shell.compile.ast_parse(shell.transform_cell(cell)))
    name = shell.compile.cache(cell, shell.execution_count)
    body = tree.body
    last = [body.pop()] if body and isinstance(body[-1], ast.Expr) else []
    steps = [(shell.compile(ast.Module(body, []), name, "exec"), "exec")]
    steps += [(shell.compile(ast.Expression(one.value), name, "eval"), "eval") for one in last]
    return steps


def run(shell: InteractiveShell, steps: list[tuple[Any, str]]) -> Any:
    """Run a cell; return the value of its last expression."""
    __tracebackhide__ = True
    value = None
    for code, mode in steps:
        if mode == "eval":
            value = eval(code, shell.user_ns)  # noqa: S307 - the user's own cell
        else:
            exec(code, shell.user_ns)  # noqa: S102
    return value


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add the magics, and have a recorder ready; called by ``%load_ext workbench``."""
    shell.register_magics(WorkbenchMagics, BpfMagics)
    if may_capture():
        prepare()


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Remove the magics and the recorder; called by ``%unload_ext workbench``."""
    prepare(False)
    for name in (NAME, BPF):
        shell.magics_manager.magics["cell"].pop(name, None)
