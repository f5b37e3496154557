"""Events of the user's own probes, with stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.probing.columns import arrow_field, values
from workbench.recorder.probe_source import OwnProbe, event_layout
from workbench.recorder.stack_source import StackSource, status_column

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.probe.layout import Layout


class OwnProbeStacks(OwnProbe, StackSource):
    """Events of a probe, with stacks."""

    def _read_layout(self) -> Layout:
        return event_layout(self.object.layout("probe_event"), self.plan, stacks=True)

    def _schema(self) -> Any:
        import pyarrow as pa

        own = {each.name: arrow_field(each) for each in self.plan.columns}
        return pa.schema([own.get(f.name, f) for f in StackSource._schema(self)])

    def _convert(self, span: Any, records: NDArray[Any]) -> list[tuple[str, Any]]:
        return StackSource._convert(self, span, records)

    def _make_batch(self, records: NDArray[Any], stacks: NDArray[np.uint32]) -> Any:
        return self._batcher.batch(
            records,
            stack_id=stacks,
            weight=np.ones(len(records), np.uint32),
            stack_status=status_column(records),
            **values(records, self.plan.columns),
        )
