"""Profiles of requests: the shapes of samples, and who they are of."""

from __future__ import annotations

import numpy as np
import pytest
from otlp_made import T0, Made, simple

from workbench.errors import ImportFormatError
from workbench.formats.otlp.reading.messages import WireMessages
from workbench.formats.otlp.reading.read_profiles import Kind, batch


def read(made, **options):
    data = np.frombuffer(made.body(), np.uint8)
    return batch(WireMessages(data, np.array([0]), np.array([len(data)])), **options)


def test_shapes():
    found = read(simple())
    ((kind, rows),) = found.rows.items()
    assert kind == Kind("samples", "count", "cpu", "nanoseconds", 10_000_000, "")
    assert rows.amount.tolist() == [2, 3, 1, 1, 1, 10]
    assert rows.ts.tolist() == [T0 + 1, T0 + 2, T0 + 3, T0 + 4, T0 + 5, T0]
    assert rows.stack.tolist() == [0, 0, 1, 1, 1, 1]
    columns = {name: each.to_pylist() for name, each in rows.columns.items()}
    assert columns == {
        "pid": [77] * 6,
        "tid": [78, 78, None, None, None, None],
        "comm": ["worker", "worker", *["program"] * 4],
        "trace_id": ["01" * 16] * 2 + [None] * 4,
        "span_id": ["02" * 8] * 2 + [None] * 4,
    }
    assert found.keys == {"tid": "thread.id", "comm": "thread.name", "pid": ""}
    assert (found.start, found.end, found.empty) == (T0, T0 + 10**9, 0)
    assert found.profiles == [{"pprof.profile.comment": ["first", "second"]}]
    assert found.resources == [{"process.pid": 77, "process.executable.name": "program"}]


def test_samples_without_anything_and_without_a_stack():
    made = Made()
    profile = made.profile()
    profile.samples.add()
    profile.samples.add(values=[5])
    found = read(made)
    (rows,) = found.rows.values()
    assert (rows.amount.tolist(), rows.ts.tolist(), found.empty) == ([5], [0], 1)
    assert (found.flat.tolist(), found.offsets.tolist()) == ([], [0, 0])
    made.tables.Clear()  # no dictionary at all
    made.data.resource_profiles[0].scope_profiles[0].profiles[0].sample_type.Clear()
    found = read(made)
    assert list(found.rows) == [Kind("", "", "", "", 0, "")]
    assert found.start == 0


def test_profiles_of_the_workbench_have_their_name():
    made = Made()
    scope = {"workbench.profile.memory.alloc_space": "ab", "workbench.profile.cpu": "cd", "x": "ab"}
    for series in ("ab", "cd", "ef"):
        made.profile(scope=scope, given={"workbench.profile": series}).samples.add(values=[1])
    assert [kind.name for kind in read(made).rows] == ["memory.alloc_space", "cpu", ""]


def test_no_profiles():
    assert read(Made()) is None


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda p: p.samples.add(values=[1, 2], timestamps_unix_nano=[1]), "as many values as"),
        (lambda p: p.samples.add(timestamps_unix_nano=[1 << 63]), "later than the year 2262"),
        (lambda p: p.samples.add(stack_index=9), "no entry of stackTable"),
        (lambda p: p.samples.add(stack_index=-1), "no entry of stackTable"),
        (lambda p: p.samples.add(link_index=9), "no entry of linkTable"),
        (lambda p: p.samples.add(attribute_indices=[99]), "no entry of attributeTable"),
        (lambda p: p.attribute_indices.append(99), "no entry of attributeTable"),
        (lambda p: setattr(p.sample_type, "unit_strindex", 99), "no entry of stringTable"),
        (lambda p: setattr(p.period_type, "type_strindex", -1), "no entry of stringTable"),
        (lambda p: setattr(p, "time_unix_nano", 1 << 63), "later than the year 2262"),
        (lambda p: setattr(p, "duration_nano", (1 << 63) - 1), "later than the year 2262"),
    ],
)  # fmt: skip
def test_what_is_damaged(change, match):
    made = simple()
    change(made.data.resource_profiles[0].scope_profiles[0].profiles[0])
    with pytest.raises(ImportFormatError, match=match):
        read(made)


def test_too_much():
    with pytest.raises(ImportFormatError, match="more samples than"):
        read(simple(), room=5)
    made = Made()
    for number in range(49):
        made.profile(f"type{number}")
    with pytest.raises(ImportFormatError, match="more than 48 kinds"):
        read(made)
