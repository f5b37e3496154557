"""Programs on functions of files: by one link for many places where the kernel has such links.

Else each place takes a perf event of its own, and a wait for each when it is let go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError
from workbench.probe import attach, uprobe_multi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.probe.objects import Link, Program
    from workbench.probe.uprobe_multi import Spot

EVERYWHERE = -1
"""Instead of a process: all that map the file."""


@dataclass(frozen=True)
class Uprobes:
    """How programs are attached, which has to be known before they are loaded.

    Parameters
    ----------
    many : bool
        By one link for the places of a program in a file.
    """

    many: bool

    @classmethod
    def everywhere(cls) -> Uprobes:
        """For all processes."""
        return cls(uprobe_multi.available())

    @classmethod
    def in_processes(cls) -> Uprobes:
        """For processes one by one, and what they fork, which is traced as well."""
        return cls(uprobe_multi.available_for_one_process())

    @classmethod
    def in_one_process(cls) -> Uprobes:
        """For a process without its children.

        A perf event takes its breakpoints out of a child that meets them (``UPROBE_HANDLER_REMOVE``
        in kernel/trace/trace_uprobe.c); a link for many would leave them there, at a microsecond
        each time.
        """
        return cls(many=False)

    def expect(self, program: Program) -> None:
        """Have a program loaded for this."""
        if self.many:
            uprobe_multi.expect(program)

    def attach(
        self,
        program: Program,
        path: str,
        spots: Sequence[Spot],
        *,
        returns: bool = False,
        pid: int = EVERYWHERE,
    ) -> list[Link]:
        """Attach to instructions of a file.

        Parameters
        ----------
        program : Program
            Loaded after :meth:`expect`.
        path : str
            The file.
        spots : sequence of Spot
        returns : bool
            Run when the functions that begin there return.
        pid : int
            Only in this process.

        Raises
        ------
        AttachError, NotPermittedError
            Nothing is attached then.
        """
        if not spots:
            return []
        if self.many:
            process = uprobe_multi.ALL if pid == EVERYWHERE else pid
            return [uprobe_multi.attach(program, path, spots, returns=returns, pid=process)]
        links: list[Link] = []
        try:
            for spot in spots:
                place = {"semaphore": spot.semaphore, "cookie": spot.cookie}
                one = attach.uprobe(program, path, spot.offset, returns=returns, pid=pid, **place)
                links.append(one)
        except WorkbenchError:
            for link in links:
                link.close()
            raise
        return links
