"""The stacks of a session as interned data, read with Perfetto's own schema."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import synthetic

from workbench.formats._perfetto_stacks import Stacks
from workbench.recording import Recording

trace_pb2 = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2")


@pytest.fixture(scope="module")
def rec(tmp_path_factory):
    path = tmp_path_factory.mktemp("stacks") / "a.wb"
    return Recording.open(synthetic.make_session(path, kinds=("cpu", "offcpu"), rows=700))


def interned(stacks):
    """Return texts, mappings, frames and stacks by their numbers."""
    found = {}
    for packet in stacks.packets():
        data = trace_pb2.TracePacket()
        data.interned_data.MergeFromString(packet)
        for field, values in data.interned_data.ListFields():
            for one in values:
                assert one.iid not in found.setdefault(field.name, {})
                found[field.name][one.iid] = one
    return found


def test_stacks_are_named_by_their_frames(rec):
    stacks = Stacks(rec, ["cpu", "offcpu"])
    found = interned(stacks)
    truth = synthetic.truth(("cpu", "offcpu"), rows=700).columns
    ids = np.unique(np.concatenate([truth[name]["stack_id"] for name in ("cpu", "offcpu")]))
    numbers = stacks.numbers(pl.Series(ids, dtype=pl.UInt32))
    assert len(set(numbers.tolist())) == len(ids)
    names = found["function_names"]
    for number, stack in zip(numbers.tolist(), ids.tolist(), strict=True):
        frames = [found["frames"][iid] for iid in found["callstacks"][number].frame_ids]
        told = [names[frame.function_name_id].str.decode() for frame in frames]
        assert told == [synthetic.FRAMES[at][0] for at in synthetic.STACKS[stack]]
        assert all(frame.mapping_id in found["mappings"] for frame in frames)


def test_what_ends_in_the_kernel(rec):
    stacks = Stacks(rec, ["cpu"])
    found = interned(stacks)
    for number, stack in found["callstacks"].items():
        leaf = found["frames"][stack.frame_ids[-1]]
        assert stacks.in_kernel[number] == (leaf.kind == 2)
    assert stacks.in_kernel.any()
    assert not stacks.in_kernel.all()


def test_without_tables_there_is_nothing(rec):
    stacks = Stacks(rec, [])
    assert list(stacks.packets()) == []
    assert stacks.in_kernel.tolist() == [False]
