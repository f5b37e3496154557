"""Cells in BCC's C."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.cells.engine import Outlet
from workbench.errors import AttachError
from workbench.probe.bcc.attach import Attachments, by_name, parse
from workbench.probe.bcc.module import Module
from workbench.probe.bcc.usdt import Usdt

if TYPE_CHECKING:
    from workbench.cells.engine import Source


class BccEngine:
    """A program that BCC compiled; see :class:`workbench.cells.engine.Engine`.

    Raises
    ------
    LoadError, AttachError, UnsupportedKernelError, NotPermittedError
        Nothing is left loaded.
    """

    def __init__(self, source: Source) -> None:
        self._usdt: list[Usdt] = []
        self._source = source
        declared = [(f, *parse(each)) for f, places in source.attach.items() for each in places]
        self._places = [place for place in declared if place[1] != "usdt"]
        try:
            for function, kind, where in declared:
                if kind == "usdt":
                    self._enable(function, where)
            self.module = Module(
                source.text,
                defines=source.defines,
                cflags=source.cflags,
                usdt=self._usdt,
                events=source.events,
            )
        except BaseException:
            self._close_usdt()
            raise
        self._attached = Attachments(self.module, source.pid)
        self.tables = self.module.tables
        self.outlets = {n: Outlet(b.map, b.event) for n, b in self.module.buffers.items()}
        try:
            self._places += self._named({function for function, _, _ in declared})
        except BaseException:
            self.close()
            raise

    def _enable(self, function: str, where: str) -> None:
        path, _, probe = where.partition(":")
        self._usdt.append(Usdt(path, self._source.pid))
        self._usdt[-1].enable(probe, function)

    def _named(self, declared: set[str]) -> list[tuple[str, str, str]]:
        """Places of the functions whose names tell them."""
        found = []
        functions = self.module.functions
        missing = declared.difference(functions)
        if missing:
            listed = ", ".join(functions) or "none"
            raise AttachError(
                f"The program has no function {min(missing)}.", why=f"it has {listed}"
            )
        for function in functions:
            place = by_name(function)
            if place is not None:
                found.append((function, *place))
            elif function not in declared:
                raise AttachError(
                    f"Function {function} is attached nowhere.",
                    advice=f"Name it kprobe__NAME or tracepoint__CATEGORY__EVENT, or say where: "
                    f"attach={{{function!r}: 'uprobe:c:malloc'}}, --attach {function}=uprobe:...",
                )
        return found

    def attach(self) -> None:
        """Load the functions and attach them."""
        for function, kind, where in self._places:
            self._attached.attach(function, kind, where)
        for usdt in self._usdt:
            self._attached.attach_usdt(usdt)
        self.module.finish()

    def detach(self) -> None:
        """Detach all; tables stay."""
        self._attached.close()

    def losses(self, outlet: str) -> tuple[int, int] | None:
        """Return events given to a buffer, and those that it did not take."""
        return self.module.losses(outlet)

    def missed(self) -> dict[str, int]:
        """Return how many runs of its functions the kernel left out, where it did."""
        return self.module.missed()

    def _close_usdt(self) -> None:
        while self._usdt:
            self._usdt.pop().close()

    def close(self) -> None:
        """Unload all. Safe to call twice."""
        self.detach()
        self._close_usdt()
        self.module.close()
