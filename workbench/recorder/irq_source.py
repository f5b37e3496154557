"""Interrupts, with the names of the devices' handlers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.event_texts import IRQ_TYPES
from workbench.recorder.tables import MAX_ROWS, EventSource
from workbench.schema import Column, arrow_field

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.probe.span import Span

INTERRUPTS = Path("/sys/kernel/irq")
_HANDLER = Column("handler", "string", "1", "names of a device's handlers; else empty")
_DEVICE = IRQ_TYPES.index("device")


class IrqSource(EventSource):
    """The kind ``irq``, as events."""

    _names: dict[int, str]

    def _schema(self) -> Any:
        import pyarrow as pa

        self._names = {}
        return pa.schema([*super()._schema(), arrow_field(_HANDLER)])

    def _convert(self, _span: Span, records: NDArray[Any]) -> list[tuple[str, Any]]:
        found = []
        for at in range(0, len(records), MAX_ROWS):
            part = records[at : at + MAX_ROWS]
            handlers = self._handlers(part["type"], part["irq"])
            found.append((self.table, self._batcher.batch(part, handler=handlers)))
        return found

    def _handlers(self, types: NDArray[np.uint16], irqs: NDArray[np.uint16]) -> Any:
        """Return the names of the handlers, "" for what is no device's, as a pyarrow array."""
        import pyarrow as pa

        numbers, at = np.unique(np.where(types == _DEVICE, irqs, -1), return_inverse=True)
        for number in numbers.tolist():
            if number not in self._names:
                self._names[number] = handler_names(number)
        return pa.array([self._names[n] for n in numbers.tolist()], pa.string()).take(pa.array(at))


def handler_names(irq: int) -> str:
    """Return the names of an interrupt's handlers, separated by commas; "" if it has none."""
    try:
        return (INTERRUPTS / str(irq) / "actions").read_text().strip()
    except OSError:
        return ""
