"""Profiles: their samples are the rows of the table, with the stacks of the views."""

import pyarrow as pa
import pytest
from otlp_profiles import folded, named, samples, types
from otlp_sessions import T0, attributes, messages, profiles, spans, synthetic, written
from synthetic import DURATION, START, final_changes, manifest, side_batches, truth

from workbench.errors import ExportError
from workbench.formats.otlp.encode import requests
from workbench.frames.folded import folded as folded_frame
from workbench.recording import Recording
from workbench.store.writer import SessionWriter

KINDS = ("syscalls", "cpu", "offcpu")


def test_samples_on_the_cpu(tmp_path):
    rec = synthetic(tmp_path, 3_000)
    found = messages(rec, "profiles")
    (cpu,) = [each for each in found if types(each) == [("samples", "count")]]
    answer = truth(KINDS, 3_000)
    assert folded(samples(cpu)) == answer.folded("cpu")
    rows = answer.columns["cpu"]
    times = sorted(
        (t, each.attributes["thread.id"], each.attributes["process.pid"], v)
        for each in samples(cpu)
        for t, v in zip(each.times, each.values, strict=True)
    )
    columns = (rows[name].tolist() for name in ("ts", "tid", "pid", "weight"))
    assert times == sorted(zip(*columns, strict=True))
    (profile,) = profiles([cpu])
    assert (profile.time_unix_nano, profile.duration_nano) == (START, DURATION)
    assert profile.period == round(1e9 / 99)
    assert len({(s.stack, *s.attributes.items(), s.link) for s in samples(cpu)}) == len(
        samples(cpu)
    )  # one sample for each stack of a thread


def test_what_locations_tell(tmp_path):
    rec = synthetic(tmp_path, 3_000)
    (cpu,) = [each for each in messages(rec, "profiles") if types(each) == [("samples", "count")]]
    by_leaf = {each.functions[0]: each for each in samples(cpu)}
    inlined = by_leaf["helper"]
    assert inlined.stack[0] == (("helper", "job.h", 7), ("compute", "job.c", 42))
    assert inlined.mappings == ("/usr/bin/job", "/usr/bin/job")
    assert inlined.addresses == (0x1100, 0x1000)
    kernel = by_leaf["vfs_read"]
    assert kernel.addresses[0] == 0xFFFFFFFF81234560
    d = cpu.dictionary
    frame_types = {
        d.string_table[d.function_table[location.lines[0].function_index].name_strindex]: named(
            d, location.attribute_indices
        )
        for location in d.location_table[1:]
    }
    assert frame_types["vfs_read"] == {"profile.frame.type": "kernel"}
    assert frame_types["handle"] == {"profile.frame.type": "cpython"}
    assert frame_types["helper"] == frame_types["main"] == {"profile.frame.type": "native"}
    assert frame_types["LazyCompile:~f"] == {}
    builds = {
        d.string_table[m.filename_strindex]: named(d, m.attribute_indices)
        for m in d.mapping_table[1:]
    }
    assert builds["/usr/bin/job"] == {"process.executable.build_id.gnu": "ab" * 20}
    assert builds["[kernel]"] == {}


def test_samples_link_to_their_threads(tmp_path):
    rec = synthetic(tmp_path, 2_000)
    known = {s.span_id: s for s in spans(messages(rec, "traces"))}
    for message in messages(rec, "profiles"):
        linked = [each for each in samples(message) if each.link != (b"", b"")]
        assert linked
        for each in linked:
            span = known[each.link[1]]
            assert span.trace_id == each.link[0]
            assert attributes(span)["thread.id"] == each.attributes["thread.id"]


def test_spans_name_the_profile(tmp_path):
    rec = synthetic(tmp_path, 2_000)
    scope = messages(rec, "traces")[0].resource_spans[0].scope_spans[0].scope
    ids = {p.profile_id.hex() for p in profiles(messages(rec, "profiles"))}
    assert set(attributes(scope).values()) == ids
    parts = messages(rec, "profiles", max_bytes=9_000)
    assert len({p.profile_id for p in profiles(parts)}) == len(parts) > len(ids)
    series = {
        named(message.dictionary, profile.attribute_indices)["workbench.profile"]
        for message in parts
        for profile in profiles([message])
    }
    assert series == ids


@pytest.mark.parametrize("name", ["slow-api", "orders"])
def test_datasets_have_the_stacks_of_the_flamegraph(name):
    rec = Recording.open(f"datasets/{name}.wb")
    found = messages(rec, "profiles")
    for message in found:
        ((type_, _),) = types(message)
        kind = {"samples": "cpu", "off_cpu": "offcpu"}[type_]
        frame = folded_frame(rec, kind=kind)
        expected = dict(frame.select("stack", "weight").iter_rows())
        assert {k: v for k, v in folded(samples(message)).items() if v} == expected
        assert sum(len(each.times) for each in samples(message)) == rec[kind].num_rows


def test_slices_and_requests_change_nothing(tmp_path, monkeypatch):
    rec = synthetic(tmp_path, 2_000, kinds=("cpu",))
    whole = [each for message in messages(rec, "profiles") for each in samples(message)]
    monkeypatch.setattr("workbench.formats.otlp.profiles.profiles.ROWS", 300)
    parts = messages(rec, "profiles", max_bytes=6_000)
    again = [each for message in parts for each in samples(message)]
    assert len(parts) >= 7
    assert folded(again) == folded(whole)
    for message in parts:
        (profile,) = profiles([message])
        end = profile.time_unix_nano + profile.duration_nano
        for each in samples(message):
            assert all(profile.time_unix_nano <= t < end for t in each.times)


def test_a_selection(tmp_path):
    rec = synthetic(tmp_path, 2_000).where(pid=2000).window(2.0, 5.0)
    for message in messages(rec, "profiles"):
        kind = {"samples": "cpu", "off_cpu": "offcpu"}[types(message)[0][0]]
        found = samples(message)
        assert {each.attributes["process.pid"] for each in found} == {2000}
        assert sum(len(each.times) for each in found) == rec[kind].num_rows > 0


def test_memory(tmp_path):
    block = {"pid": 2000, "tid": 2000, "op": "alloc", "stack_id": 0}
    rows = [
        block | {"ts": T0, "born": T0, "address": 1, "size": 100, "weight": 3},
        block | {"ts": T0 + 5, "born": T0, "address": 1, "size": 100, "op": "free"},
        block | {"ts": T0 + 6, "born": T0 + 6, "address": 1, "size": 7, "stack_id": 4},
        block | {"ts": T0 + 7, "size": 4096, "op": "map"},
    ]
    rec = written(tmp_path, stacks=("memory",), memory=rows)
    found = {
        types(message)[0]: {each.functions[0]: sum(each.values) for each in samples(message)}
        for message in messages(rec, "profiles")
    }
    assert found == {
        ("alloc_objects", "count"): {"compute": 3, "handle": 1},
        ("alloc_space", "bytes"): {"compute": 300, "handle": 7},
        ("inuse_objects", "count"): {"handle": 1},
        ("inuse_space", "bytes"): {"handle": 7},
    }


def test_what_does_not_fit(tmp_path):
    with pytest.raises(ExportError, match="A sample with its stack takes"):
        list(requests(synthetic(tmp_path, 10), ("profiles",), max_bytes=500))


def test_no_samples(tmp_path):
    assert not messages(written(tmp_path, stacks=("sched",), sched=[]), "profiles")
    assert not messages(synthetic(tmp_path / "..", 10, kinds=("syscalls",)), "profiles")


def test_imported_profiles(tmp_path):
    """Columns that hold the sum of a row are a profile each; who it was may not be known."""
    meta = {"meaning": "m", "of": "row"}
    schema = pa.schema(
        [
            pa.field("ts", pa.timestamp("ns", "UTC"), False, {"unit": "ns", "meaning": "t"}),
            pa.field("stack_id", pa.uint32(), False, {"unit": "1", "meaning": "s"}),
            pa.field("delay", pa.duration("ns"), False, {"unit": "ns", **meta}),
            pa.field("contentions", pa.int64(), False, {"unit": "1", **meta}),
            pa.field("weight", pa.uint32(), False, {"unit": "1", "meaning": "w"}),
        ]
    )
    writer = SessionWriter.create(tmp_path / "i.wb", manifest(["contention"], 0, 0))
    for table, batches in side_batches().items():
        for batch in batches if table != "processes" else []:
            writer.append(table, batch)
    writer.add_table("contention", schema)
    columns = [[T0, T0 + 1], [1, 4], [500, 7], [3, 1], [3, 1]]
    arrays = [
        pa.array(values, pa.int64()).cast(item.type)
        for values, item in zip(columns, schema, strict=True)
    ]
    writer.append("contention", pa.RecordBatch.from_arrays(arrays, schema=schema))
    writer.update()
    writer.finish(reason="done", **final_changes(["contention"], 0))
    found = {
        types(message)[0]: {each.functions[0]: each for each in samples(message)}
        for message in messages(Recording.open(tmp_path / "i.wb"), "profiles")
    }
    assert set(found) == {("delay", "nanoseconds"), ("contentions", "count")}
    by_leaf = found["delay", "nanoseconds"]
    assert {name: each.values for name, each in by_leaf.items()} == {
        "helper": (500,),
        "handle": (7,),
    }
    assert all(each.attributes == {} for each in by_leaf.values())
