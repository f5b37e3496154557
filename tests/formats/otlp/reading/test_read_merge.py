"""Several requests, each with a dictionary of its own, as one session."""

from __future__ import annotations

import io

import polars as pl
import pytest
import reading
from otlp_made import T0, Made, delimited, json_lines, meaning, simple, told

from workbench.errors import ImportFormatError
from workbench.formats.otlp.reading import read, read_merge
from workbench.formats.otlp.reading.read import read_json, read_protobuf


def shifted():
    """The same stacks as :func:`simple`, with other indices and other attributes."""
    made = Made()
    for name in ("x", "y", "z"):
        made.text(name)
    made.location(("unused", "", 1))
    program = made.mapping(
        "/bin/program",
        {"process.executable.build_id.gnu": "abcd"},
        memory_start=0x1000,
        file_offset=0x400,
    )
    work = made.location(
        ("small", "p.c", 7), ("work", "p.c", 9), mapping=program, address=0x1020,
        given={"profile.frame.type": "native"},
    )  # fmt: skip
    read = made.location(
        ("sys_read", "", 0), address=0xFFFFFFFF81000010, given={"profile.frame.type": "kernel"}
    )
    stack = made.stack(read, work)
    profile = made.profile(time_unix_nano=T0 - 5, period=10_000_000)
    profile.period_type.type_strindex = made.text("cpu")
    profile.period_type.unit_strindex = made.text("nanoseconds")
    given = made.attributes({"k": "text", "thread.id": 5})
    profile.samples.add(stack_index=stack, values=[100], attribute_indices=given)
    other = made.profile("alloc_space", "bytes", time_unix_nano=T0)
    other.samples.add(
        stack_index=stack, values=[1 << 20], attribute_indices=made.attributes({"k": 7})
    )
    return made


@pytest.mark.parametrize("at_once", [1, 1 << 24], ids=["one by one", "together"])
@pytest.mark.parametrize("way", ["json", "protobuf"])
def test_dictionaries_become_one(way, at_once, tmp_path, monkeypatch):
    monkeypatch.setattr(read, "_AT_ONCE", at_once)
    made = [simple(), shifted(), simple()]
    write, how = (json_lines, read_json) if way == "json" else (delimited, read_protobuf)
    content = write(*(each.body() for each in made))
    found = how(io.BytesIO(content))
    assert told(found) == meaning(*(each.data for each in made))
    assert found.frames.num_rows == 5  # each is there once, and none that is not used
    assert found.stacks.num_rows == 2
    cpu, heap = found.samples
    assert (cpu.table, heap.table) == ("cpu", "alloc_space")
    assert cpu.period_ns == 10_000_000
    assert cpu.facts["period"] == ["cpu", "nanoseconds", 10_000_000]
    assert cpu.columns["k"].to_pylist() == [*[None] * 6, "text", *[None] * 6]
    assert [str(each) for each in heap.columns["k"].to_pylist()] == ["7"]
    assert (found.start_ns, found.duration_ns) == (T0 - 5, 10**9 + 5)
    rec = reading.session(content, tmp_path / "a.wb")
    assert rec.kinds == ("cpu", "alloc_space")
    assert reading.self_and_total(rec, "cpu") == {
        "sys_read": (110, 110), "small": (0, 110), "work": (0, 110),
        "[0x10ff]": (26, 26), "handle": (0, 26),
    }  # fmt: skip
    assert rec.flamegraph("alloc_space").tree.unit == "bytes"
    about = rec.manifest.target["imported"]
    assert about["comments"] == ["first", "second"]
    assert about["resources"] == [{"process.pid": 77, "process.executable.name": "program"}]
    assert rec.where(tid=78)["cpu"].num_rows == 4
    rec.report(tmp_path / "r.html")
    for name in ("pprof", "speedscope", "folded", "otlp-json"):
        assert rec.export(name, tmp_path / name).stat().st_size > 0


def one(type="samples", unit="count", *, period="", **options):
    made = Made()
    profile = made.profile(type, unit, **options)
    profile.period_type.type_strindex = made.text(period)
    profile.samples.add(values=[5])
    return read_protobuf(io.BytesIO(made.body()))


@pytest.mark.parametrize(
    ("type", "period", "table"),
    [
        ("samples", "cpu", "cpu"), ("samples", "", "cpu"), ("samples", "wall", "samples"),
        ("cpu", "", "cpu"), ("off_cpu", "", "offcpu"), ("inuse_objects", "", "inuse_objects"),
        ("events", "", "events"), ("syscalls", "", "syscalls_samples"), ("", "", "cpu"),
    ],
)  # fmt: skip
def test_tables(type, period, table):
    (samples,) = one(type, period=period).samples
    assert samples.table == table


def test_what_the_file_tells():
    found = one(
        resource={"service.name": "shop", "nan": float("nan"), "list": ["a" * 2000, 1.5]},
        scope={"s": 1},
        given={"pprof.profile.comment": "only", "pprof.profile.drop_frames": "d.*"},
    )
    assert found.program == "shop"
    assert found.facts["resources"] == [
        {"service.name": "shop", "nan": "nan", "list": ["a" * 1000, 1.5]}
    ]
    assert found.facts["scopes"] == [{"s": 1}]
    assert (found.facts["comments"], found.facts["drop_frames"]) == (["only"], "d.*")
    assert one(resource={"service.name": "unknown_service:x"}).program == ""
    assert one(resource={"process.executable.path": "/bin/x"}).program == "x"
    assert (found.start_ns, found.duration_ns) == (None, None)
    assert "ts" not in found.samples[0].columns


def test_the_default_type_comes_first():
    made = Made()
    for name in ("alloc_space", "inuse_space"):
        profile = made.profile(
            name, "bytes", scope={"pprof.scope.default_sample_type": "inuse_space"}
        )
        profile.samples.add(values=[5])
    profile.samples.add()
    found = read_protobuf(io.BytesIO(made.body()))
    assert [each.values[0].name for each in found.samples] == ["inuse_space", "alloc_space"]
    assert found.problems == ("1 samples had neither a value nor a time: they are left out.",)


def test_times_that_are_not_known_are_the_first_that_is(tmp_path):
    made = Made()
    profile = made.profile()
    profile.samples.add(values=[5])
    profile.samples.add(timestamps_unix_nano=[T0])
    rec = reading.session(made.body(), tmp_path / "a.wb")
    assert rec["cpu"].polars()["ts"].cast(pl.Int64).to_list() == [T0, T0]


def test_too_many_frames(monkeypatch):
    monkeypatch.setattr(read_merge, "MAX_ENTRIES", 4)
    with pytest.raises(ImportFormatError, match="At most 4 in all"):
        read_protobuf(io.BytesIO(simple().body()))
