"""Kinds of what lasts: what does so still when the capture ends becomes events, too."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from workbench.probe.maps import rows
from workbench.recorder.tables import EventSource

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.recorder.processes import ProcessTable


class OpenEvents(EventSource):
    """A kind whose program keeps what is under way in a map.

    Attributes
    ----------
    held_in : tuple of (str, str)
        The map, and the struct that is its value.
    """

    held_in: ClassVar[tuple[str, str]]

    @abstractmethod
    def _open(self, entries: NDArray[Any], now: int, min_ns: int) -> tuple[NDArray[Any], ...]:
        """Return the events of what lasts still, and what :meth:`_hand_over` needs besides.

        Parameters
        ----------
        entries : structured array
            Values of the map.
        now : int
            Time of the boot clock, ns.
        min_ns : int
            What lasts shorter is left out.
        """

    def _hand_over(self, records: NDArray[Any], *_: Any) -> list[tuple[str, Any]]:
        return self._convert(None, records)

    def finish(self, processes: ProcessTable, now: int) -> list[tuple[str, Any]]:
        """Drain, and report what lasts still: it may do so for ever."""
        found = self.batches(processes, now)
        name, struct = self.held_in
        _, values = self.object.maps[name].items()
        entries = rows(values, self.object.layout(struct).dtype)
        min_ns = int(self._wanted.settings["min_ns"])
        records, *more = self._open(entries, now - self._offset, min_ns)
        if len(records):
            processes.see(records["pid"], records["tid"], now)
            self.add(records["cpu"])
            found += self._hand_over(records, *more)
        return found + super().finish(processes, now)
