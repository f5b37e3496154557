"""What a cell needs of a compiled program, whoever compiled it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from workbench.probe.map_access import RINGBUF

if TYPE_CHECKING:
    from workbench.probe.column_type import ColumnType
    from workbench.probe.open_map import OpenMap
    from workbench.probe.typed_map import TypedMap


@dataclass(frozen=True)
class Source:
    """What was asked for.

    Parameters
    ----------
    text : str
        The program.
    attach : mapping of str to sequence of str
        Places of functions that their names do not tell.
    pid : int
        The process for which uprobes and perf events run; -1: for all.
    defines : mapping of str to object
        Macros.
    cflags : sequence of str
        More flags for the compiler.
    events : mapping of str to str
        C type of what each buffer sends, where it cannot be told from the program.
    """

    text: str
    attach: Mapping[str, Sequence[str]] = field(default_factory=dict)
    pid: int = -1
    defines: Mapping[str, object] = field(default_factory=dict)
    cflags: Sequence[str] = ()
    events: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outlet:
    """A perf or ring buffer of a program.

    Parameters
    ----------
    map : OpenMap
    event : ColumnType, optional
        What is sent; None where that is not known.
    """

    map: OpenMap
    event: ColumnType | None

    @property
    def is_ring(self) -> bool:
        """Whether it is a ring buffer."""
        return self.map.type == RINGBUF


class Engine(Protocol):
    """A compiled program, loaded, not attached.

    Attributes
    ----------
    outlets : dict of str to Outlet
        Its buffers.
    tables : dict of str to TypedMap
        Its other maps.
    """

    outlets: dict[str, Outlet]
    tables: dict[str, TypedMap]

    def attach(self) -> None:
        """Attach all of it.

        Raises
        ------
        AttachError, LoadError, NotPermittedError
        """

    def detach(self) -> None:
        """Detach all of it; maps stay."""

    def losses(self, outlet: str) -> tuple[int, int] | None:
        """Return events given to a buffer, and those that it did not take; None: not counted."""

    def missed(self) -> dict[str, int]:
        """Return how many runs of its functions the kernel left out, where it did."""

    def close(self) -> None:
        """Unload all. Safe to call twice."""
