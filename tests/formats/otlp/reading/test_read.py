"""What was exported comes back; whatever a file holds, the answer is clear."""

from __future__ import annotations

import gzip
import io
import random
import sys

import polars as pl
import pytest
import reading
from hypothesis import given, settings
from hypothesis import strategies as st
from otlp_made import Made, changed, delimited, json_lines, meaning, simple, told
from otlp_sessions import T0, messages, synthetic, written

from workbench.errors import ImportFormatError
from workbench.formats import export
from workbench.formats.otlp.reading import read
from workbench.formats.otlp.reading.read import read_json, read_protobuf
from workbench.profiles.session import session_of
from workbench.session import load_profile, open_session

WAYS = [("otlp-json", None), ("otlp-json", "profiles"), ("otlp-proto", "profiles")]


def back(rec, folder, name, table="profiles"):
    """Export a session and import the file."""
    return load_profile(export(rec, name, folder / "file", table=table), folder / "back.wb")


def threads(rec, kind, weight=""):
    """Return samples and sum by process and thread."""
    rows = rec[kind].polars()
    amount = rows[weight] if weight else rows["weight"]
    grouped = rows.with_columns(amount.cast(int).alias("sum")).group_by("pid", "tid")
    found = grouped.agg(pl.len(), pl.col("sum").sum())
    return {row[:2]: row[2:] for row in found.iter_rows()}


@pytest.mark.parametrize("name", ["slow-api", "orders"])
@pytest.mark.parametrize("way", ["otlp-json", "otlp-proto"])
def test_datasets_come_back(name, way, tmp_path):
    rec = open_session(f"datasets/{name}.wb")
    again = back(rec, tmp_path, way)
    kinds = [kind for kind in ("cpu", "offcpu") if kind in rec.tables]
    assert list(again.kinds) == kinds
    for kind in kinds:
        assert reading.self_and_total(again, kind) == reading.self_and_total(rec, kind)
        assert again.flamegraph(kind).tree.total == rec.flamegraph(kind).tree.total > 0
        assert reading.folded(again, kind) == reading.folded(rec, kind)
    assert threads(again, "cpu") == threads(rec, "cpu")
    before, after = (one["cpu"].polars().sort("ts", "tid") for one in (rec, again))
    assert after["ts"].to_list() == before["ts"].to_list()
    assert after["comm"].cast(str).to_list() == before["comm"].cast(str).to_list()


@pytest.mark.parametrize(("way", "table"), WAYS)
def test_a_synthetic_session_comes_back(way, table, tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.formats.otlp.profiles.profiles.ROWS", 300)  # several requests
    monkeypatch.setattr(read, "_AT_ONCE", 50_000)  # several batches
    rec = open_session(synthetic(tmp_path, 2_000).path)
    again = back(rec, tmp_path, way, table) if table else None
    again = again or load_profile(export(rec, way, tmp_path / "file"), tmp_path / "back.wb")
    for kind in ("cpu", "offcpu"):
        assert reading.self_and_total(again, kind) == reading.self_and_total(rec, kind)
        assert again.flamegraph(kind).tree.total == rec.flamegraph(kind).tree.total > 0
    assert threads(again, "cpu") == threads(rec, "cpu")
    assert again.manifest.kinds["cpu"]["period_ns"] == round(1e9 / 99)
    own, other = (one.where(pid=2000).hotspots("offcpu").functions for one in (rec, again))
    assert dict(own.select("name", "self").iter_rows()) == dict(
        other.select("name", "self").iter_rows()
    )
    kinds = again["frames"].polars().select("function", "kind", "build_id").unique("function")
    of = {row[0]: row[1:] for row in kinds.iter_rows()}
    assert of["helper"] == ("inlined", "ab" * 20)
    assert (of["vfs_read"][0], of["handle"][0], of["main"][0]) == ("kernel", "python", "native")
    ids = again["cpu"].polars()["span_id"].cast(pl.String).drop_nulls().unique()
    assert len(ids)
    assert ids.str.len_chars().unique().to_list() == [16]


@pytest.mark.parametrize("way", ["otlp-json", "otlp-proto"])
def test_memory_comes_back(way, tmp_path):
    block = {"pid": 2000, "tid": 2000, "op": "alloc", "stack_id": 0}
    rows = [
        block | {"ts": T0, "born": T0, "address": 1, "size": 100, "weight": 3},
        block | {"ts": T0 + 5, "born": T0, "address": 1, "size": 100, "op": "free"},
        block | {"ts": T0 + 6, "born": T0 + 6, "address": 1, "size": 7, "stack_id": 4},
    ]
    again = back(written(tmp_path, stacks=("memory",), memory=rows), tmp_path, way)
    leaves = {}
    for kind in again.kinds:
        own = reading.self_and_total(again, kind)
        leaves[kind] = {name: one[0] for name, one in own.items() if one[0]}
    assert leaves == {
        "memory_alloc_objects": {"compute": 3, "handle": 1},
        "memory_alloc_space": {"compute": 300, "handle": 7},
        "memory_inuse_objects": {"handle": 1},
        "memory_inuse_space": {"handle": 7},
    }
    assert again.flamegraph("memory_alloc_space").tree.unit == "bytes"


def test_all_shapes_of_a_file_are_the_same():
    body = simple().body()
    expected = meaning(simple().data)
    assert [one.amount for one in expected] == [1, 1, 1, 10, 2, 3]
    other = b'{"resourceSpans":[{"scopeSpans":[]}]}\n'
    line = json_lines(body)
    pretty = line.replace(b'{"', b'{\n "')
    for content in (body, delimited(body), delimited(b"", body), gzip.compress(delimited(body))):
        assert told(read_protobuf(io.BytesIO(content))) == expected
    for content in (line, line[:-1], other + b"\n" + line, line + other, pretty):
        assert told(read_json(io.BytesIO(content))) == expected
    twice = meaning(simple().data, simple().data)
    assert told(read_json(io.BytesIO(line + other + line))) == twice
    found = read_protobuf(io.BytesIO(delimited(body, body)))
    assert told(found) == twice
    once = read_protobuf(io.BytesIO(body))
    assert found.frames.equals(once.frames)  # what is the same is there once
    assert found.stacks.equals(once.stacks)


NAMES = st.sampled_from(["", "a", "main", "ü;:\n", "std::f<int>()"])
AMOUNTS = st.integers(-(1 << 40), 1 << 40)
TIMES = st.integers(1, 1 << 61)


@st.composite
def requests(draw):
    """Any request whose samples say something."""
    made = Made()
    mappings = [0, *(made.mapping(draw(NAMES)) for _ in range(draw(st.integers(0, 2))))]
    line = st.tuples(NAMES, NAMES, st.integers(-5, 1 << 40))
    locations = [
        made.location(
            *draw(st.lists(line, max_size=3)),
            mapping=draw(st.sampled_from(mappings)),
            address=draw(st.integers(0, (1 << 64) - 1)),
            given=draw(st.sampled_from([{}, {"profile.frame.type": "jvm"}])),
        )
        for _ in range(draw(st.integers(1, 3)))
    ]
    chosen = st.lists(st.sampled_from(locations), max_size=4)
    stacks = [0, *(made.stack(*draw(chosen)) for _ in range(draw(st.integers(0, 3))))]
    about = {
        "process.pid": st.integers(1, 1 << 22),
        "process.executable.name": st.just("program"),
        "k": st.lists(st.booleans() | st.floats()),
    }
    own = {
        "process.pid": st.integers(1, 1 << 22),
        "thread.id": st.integers(0, (1 << 32) - 1),
        "thread.name": NAMES,
        "k": st.integers(-5, 5) | NAMES | st.booleans() | st.floats() | st.binary(max_size=3),
    }
    for _ in range(draw(st.integers(1, 3))):
        profile = made.profile(
            draw(st.sampled_from(["samples", "cpu", "off_cpu", "alloc_space", "ü"])),
            draw(st.sampled_from(["", "count", "nanoseconds", "bytes"])),
            resource=draw(st.fixed_dictionaries({}, optional=about)),
            time_unix_nano=draw(TIMES),
            duration_nano=draw(st.integers(0, 1 << 60)),
            period=draw(AMOUNTS),
        )
        for _ in range(draw(st.integers(1, 3))):
            shape, size = (
                draw(st.sampled_from(["both", "values", "times"])),
                draw(st.integers(1, 3)),
            )
            profile.samples.add(
                stack_index=draw(st.sampled_from(stacks)),
                attribute_indices=made.attributes(draw(st.fixed_dictionaries({}, optional=own))),
                values=[draw(AMOUNTS) for _ in range(size)] if shape != "times" else [],
                timestamps_unix_nano=[draw(TIMES) for _ in range(size)]
                if shape != "values"
                else [],
            )
    return made


@settings(max_examples=40)
@given(made=st.lists(requests(), min_size=1, max_size=3))
def test_any_request_is_what_it_says(made):
    bodies = [one.body() for one in made]
    expected = meaning(*(one.data for one in made))
    assert told(read_protobuf(io.BytesIO(delimited(*bodies)))) == expected
    assert told(read_json(io.BytesIO(json_lines(*bodies)))) == expected
    if len(bodies) == 1:
        assert told(read_protobuf(io.BytesIO(bodies[0]))) == expected


def refused(content, match, how=read_protobuf):
    with pytest.raises(ImportFormatError, match=match):
        how(io.BytesIO(content))


def test_what_is_no_protobuf():
    body = simple().body()
    refused(delimited(body)[:-1], "ends in the middle")
    refused(delimited(body) + b"\0", "ends in the middle")
    refused(b"\0\0\0\5\xff\xff\xff\xff\xff", "no OTLP profiles, or damaged")
    refused(body[:-1], "no OTLP profiles, or damaged")
    refused(b"\3\xff\xff\xff" + body, "ends in the middle")
    refused(b"\4\0\0\1" + body, "claims 67,108,865 bytes")
    refused(b"", "holds no OTLP profiles")
    refused(delimited(b"", b""), "other signals")
    made = Made()
    made.profile()
    refused(made.body(), "no samples")


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_other_signals(signal, tmp_path):
    """They have the same outer fields, and no dictionary."""
    rec = open_session("datasets/orders.wb" if signal != "logs" else synthetic(tmp_path, 500).path)
    content = export(rec, "otlp-proto", tmp_path / "x", table=signal).read_bytes()
    assert len(content) > 100
    refused(content, "holds no OTLP profiles")
    content = export(rec, "otlp-json", tmp_path / "x", table=signal).read_bytes()
    refused(content, "holds no OTLP profiles", read_json)


def test_what_is_no_json():
    line = json_lines(simple().body())
    for content, match in [
        (b"{", "no JSON"),
        (b"[]\n", "no object"),
        (line + line[:-5], "breaks off"),
        (line + b'{"resourceProfiles":}\n', "no JSON"),
        (b'{"resourceProfiles":5}\n', "is to be an object"),
        (b'{"resourceProfiles":[[]]}\n', "is to be an object"),
        (b'{"resourceSpans":[]}\n', "holds no OTLP profiles"),
        (b"", "holds no OTLP profiles"),
        (b'{"a":' * 100_000, "no JSON"),
    ]:
        refused(content, match, read_json)


def test_limits(monkeypatch):
    body = simple().body()
    monkeypatch.setattr(read, "MAX_REQUESTS", 1)
    refused(delimited(body, body), "more than 1 messages")
    refused(json_lines(body, body), "more than 1 lines", read_json)
    refused(b"\n\n", "more than 1 lines", read_json)
    monkeypatch.setattr(read, "MAX_MESSAGE", 1000)
    refused(json_lines(body)[:-1], "line that is too long", read_json)
    monkeypatch.setattr(read, "MAX_ROWS", 5)
    refused(body, "more samples than can be imported")


def test_no_package_of_opentelemetry_is_needed(monkeypatch):
    body, expected = simple().body(), meaning(simple().data)
    line = json_lines(body)
    for name in [each for each in sys.modules if each.startswith(("opentelemetry", "google"))]:
        monkeypatch.setitem(sys.modules, name, None)
    assert told(read_protobuf(io.BytesIO(body))) == expected
    assert told(read_json(io.BytesIO(line))) == expected


@pytest.mark.timeout(reading.PATIENCE_S)
@pytest.mark.parametrize("way", ["json", "protobuf"])
def test_damaged_files(way, tmp_path):
    """Each is read, or refused with a reason."""
    small = simple().body()
    rec = synthetic(tmp_path, 30, kinds=("cpu",))
    exported = messages(rec, "profiles")[0].SerializeToString()
    if way == "json":
        seeds, how = (
            [json_lines(small), json_lines(small, exported), json_lines(exported)],
            read_json,
        )
        words = [b'"resourceProfiles":', b"null", b'"-9223372036854775808"', b"[[", b"1e300"]
    else:
        how, seeds = read_protobuf, [small, delimited(small), delimited(small, exported)]
        words = [b"\xff" * 9 + b"\1", b"\x12\0", b"\x0a\0", b"\x7f\xff\xff\xff", b"\x08" * 20]
    good, bad = reading.fuzz(how, reading.mutated(seeds, reading.CASES, words))
    assert good + bad == reading.CASES
    assert good
    assert bad > reading.CASES // 4


def answer(how, content):
    """Return what was read, or why it was not."""
    try:
        found = how(io.BytesIO(content))
        session_of(found, format="x", source="x", modified_ns=1)
        return told(found)
    except ImportFormatError as error:
        return error.what, error.why


@pytest.mark.timeout(reading.PATIENCE_S)
def test_well_formed_nonsense():
    """Indices that lead nowhere, lists that do not fit, all numbers: the same in both encodings."""
    chance = random.Random(7)
    bodies = [changed(simple().body(), chance) for _ in range(reading.CASES)]
    answers = [answer(read_protobuf, each) for each in bodies]
    assert [answer(read_json, json_lines(each)) for each in bodies] == answers
    good = sum(type(each) is list for each in answers)
    assert reading.CASES // 8 < good < reading.CASES


def test_texts_that_many_things_refer_to(monkeypatch):
    """A text of a request may stand in very many places: none is copied without bound."""
    made = simple()
    long = made.text("x" * 10_000)
    one = made.tables.attribute_table.add(key_strindex=long)
    one.value.string_value_strindex = long
    profile = made.profile()
    profile.attribute_indices.extend([len(made.tables.attribute_table) - 1] * 1000)
    for _ in range(200):
        sample = profile.samples.add(stack_index=1, values=[1])
        sample.attribute_indices.append(len(made.tables.attribute_table) - 1)
    body = made.body()
    for how, content in ((read_protobuf, body), (read_json, json_lines(body))):
        assert how(io.BytesIO(content))
    monkeypatch.setattr("workbench.profiles.text_columns.MAX_BYTES", 1_900_000)
    for how, content in ((read_protobuf, body), (read_json, json_lines(body))):
        refused(content, "1,900,000 bytes", how)


def test_numbers_and_profiles_have_bounds(monkeypatch):
    body = simple().body()
    monkeypatch.setattr("workbench.formats.otlp.reading.messages.MAX_EIGHTS", 1)
    refused(body, "more than 1 numbers")
    monkeypatch.setattr("workbench.formats.otlp.reading.read_profiles.MAX_PROFILES", 0)
    refused(body, "more than 0 profiles")
    refused(json_lines(body), "more than 0 profiles", read_json)
