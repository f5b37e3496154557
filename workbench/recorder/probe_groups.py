"""Groups that a probe's program counts in: the table gets snapshots of them, cumulative."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.batch import column
from workbench.ctype import INT
from workbench.probing import plan as planning
from workbench.probing.columns import arrow_field, dtype_of, text_array
from workbench.probing.operands import NUMBER
from workbench.probing.plan import HIST_SLOTS, Figure
from workbench.recorder.probe_source import OwnProbe
from workbench.recorder.tables import AggregateSource
from workbench.schema import DERIVED, Column, arrow_type
from workbench.schema import arrow_field as plain_field

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workbench.recorder.processes import ProcessTable

SIGN = np.uint64(1 << 63)
TEXTS = {
    "sum": "sum of {}",
    "avg": "mean of {}",
    "min": "lowest {}",
    "max": "highest {}",
    "hist": "events with {} in [2^i, 2^(i+1)); the first one has those below 2, too",
}


class OwnProbeGroups(OwnProbe, AggregateSource):
    """Counts and figures of a probe, by the fields that make its groups."""

    def _schema(self) -> Any:
        import pyarrow as pa

        plan = self.plan
        fields = [plain_field(Column("ts", "timestamp", "ns", "time of the snapshot, UTC"))]
        fields += [_key_field(each) for each in plan.keys]
        fields.append(plain_field(Column("count", "uint64", "1", "number of events")))
        if plan.settings["group_missing"]:
            text = "events of which a field could not be read, and which are in no other figure"
            fields.append(plain_field(Column("unreadable", "uint64", "1", text)))
        return pa.schema([*fields, *(_figure_field(each) for each in plan.figures)])

    def snapshot(self, now: int) -> Any:
        """Return the groups as a record batch; ``now`` is UTC in ns."""
        import pyarrow as pa

        keys, data = self.object.maps["groups"].items()
        cpus = data.shape[1] // (8 * self.plan.value_words)
        words = data.view(np.uint64).reshape(len(keys), cpus, self.plan.value_words)
        count, unreadable = words[:, :, 0].sum(axis=1), words[:, :, 1].sum(axis=1)
        self._count = int(count.sum())
        arrays = {"ts": np.full(len(keys), now, np.int64), "count": count}
        arrays["unreadable"] = unreadable
        for each in self.plan.keys:
            kind = dtype_of(each)
            raw = np.ascontiguousarray(keys[:, each.place : each.place + kind.itemsize])
            arrays[each.name] = raw.view(kind)[:, 0] if len(keys) else np.empty(0, kind)
            if each.value.read != NUMBER:
                arrays[each.name] = text_array(arrays[each.name], np.zeros(len(keys), bool))
            if each.name == "comm":  # which tables have as a dictionary
                arrays[each.name] = arrays[each.name].dictionary_encode()
        for figure in self.plan.figures:
            arrays[figure.name] = decoded(figure, words, count - unreadable)
        columns = [column(arrays[f.name], f.type) for f in self.schema]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _rows(self, processes: ProcessTable, now: int) -> list[tuple[str, Any]]:
        batch = self.snapshot(now)
        if "pid" in batch.schema.names:
            pids = batch.column("pid").to_numpy()
            processes.see(pids, pids, now)
        return [(self.table, batch)] if batch.num_rows else []


def _key_field(each: planning.Column) -> Any:
    if each.name == "comm":
        return plain_field(DERIVED["comm"])
    return arrow_field(each).with_nullable(False)


def _is_signed(figure: Figure) -> bool:
    kind = figure.metric.value.operand.type
    return kind.kind == INT and kind.signed


def _figure_field(figure: Figure) -> Any:
    metric = figure.metric
    latency = metric.value.operand.source == "latency"
    kinds = {"avg": "float64", "hist": "uint64"}
    whole = "duration" if latency else "int64" if _is_signed(figure) else "uint64"
    arrow = kinds.get(metric.kind, whole)
    if latency and metric.kind == "avg":
        arrow = "duration"
    unit = "ns" if latency and metric.kind != "hist" else "1"
    made = Column(figure.name, arrow, unit, TEXTS[metric.kind].format(metric.text))
    field = plain_field(made).with_nullable(metric.kind in ("avg", "min", "max"))
    if metric.kind == "hist":
        import pyarrow as pa

        return field.with_type(pa.list_(arrow_type("uint64"), HIST_SLOTS))
    return field


def decoded(figure: Figure, words: NDArray[np.uint64], events: NDArray[np.uint64]) -> Any:
    """Return a figure of each group.

    Parameters
    ----------
    words : uint64 array of shape (groups, CPUs, words of a value)
    events : uint64 array of shape (groups,)
        Events that are in it; where there is none, mean, lowest and highest are null.
    """
    import pyarrow as pa

    at, kind = figure.slot, figure.metric.kind
    if kind == "hist":
        return words[:, :, at : at + HIST_SLOTS].sum(axis=1)
    field = _figure_field(figure)
    part = words[:, :, at]
    if kind in ("sum", "avg"):
        total = part.sum(axis=1)
        if kind == "sum":
            return total
        signed = total.view(np.int64) if _is_signed(figure) else total
        mean = signed / np.maximum(events, np.uint64(1))
        if pa.types.is_duration(field.type):
            return pa.array(mean.astype(np.int64), mask=events == 0).cast(field.type)
        return pa.array(mean, mask=events == 0)
    best = part.max(axis=1)
    best = ~best if kind == "min" else best
    if _is_signed(figure):
        best = (best ^ SIGN).view(np.int64)
    if pa.types.is_duration(field.type):
        best = best.view(np.int64)
    return pa.array(best, mask=events == 0).cast(field.type)
