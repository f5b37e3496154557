"""Profiles become sessions and come back as they were; whatever bytes come, the answer is clear."""

from __future__ import annotations

import gzip
import importlib
import io
import time

import numpy as np
import polars as pl
import profile_pb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.errors import ImportFormatError, WorkbenchError
from workbench.formats import recognised
from workbench.formats.pprof import frames
from workbench.formats.pprof.read import read, recognise
from workbench.importing import import_file

module = importlib.import_module("workbench.formats.pprof.read")  # the package has a read()


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.pb.gz"
    path.write_bytes(gzip.compress(profile_pb.small().SerializeToString()))
    return path


def test_a_session_of_it(small, tmp_path):
    session = wb.open(import_file(small))
    rows = session["cpu"].polars()
    assert rows["weight"].to_list() == [1] * 5  # a count is negative: it cannot be the weight
    assert rows["samples"].to_list() == [3, 1, -2, 0, 1]
    assert rows["comm"].cast(pl.String).to_list() == ["worker"] + ["program"] * 4
    frames = session["frames"].polars()
    told = frames.select("function", pl.col("kind").cast(pl.String), "module", "offset").rows()
    assert told == [
        ("main", "native", "/bin/program", 0x1010),
        ("small", "inlined", "/bin/program", 0x1020),
        ("work", "native", "/bin/program", 0x1020),
        ("sys_read", "kernel", "[kernel.kallsyms]", 0xFFFFFFFF81000010),
        ("[0x4000ff]", "native", "/bin/program", 0x10FF),
        ("handle", "python", "", 0),
        ("work", "native", "/bin/program", 0x1030),
    ]
    assert frames["build_id"][0] == "abcd"
    assert frames["start_line"].to_list() == [1, 3, 2, 4, 0, 5, 2]
    assert frames["line"].to_list() == [5, 7, 9, None, None, 11, None]
    stacks = session["stacks"].polars()["frame_ids"].to_list()
    assert stacks == [[3, 1, 2, 0], [4, 0], [5], [6, 6, 0], []]
    assert session.start.isoformat() == "2001-09-09T01:46:40+00:00"
    assert session.duration.total_seconds() == 1
    told = session.manifest.target["imported"]
    assert told["comments"] == ["first", "second"]
    assert (told["drop_frames"], told["keep_frames"]) == ("drop.*", "keep.*")
    assert session.flamegraph().tree.unit == "ns"
    assert session.where(comm="worker")["cpu"].num_rows == 1
    session.report(tmp_path / "r.html")


def back(profile, folder, name="pprof"):
    """Import a profile and export the session; return what is in the file then."""
    path = folder / "one"
    path.write_bytes(profile.SerializeToString())
    session = wb.open(import_file(path, folder / "one.wb", overwrite=True))
    content = session.export(name, folder / "two").read_bytes()
    content = gzip.decompress(content) if name == "pprof" else content
    return profile_pb.Profile.FromString(content)


@pytest.mark.parametrize("name", ["pprof", "pprof-plain"])
def test_everything_comes_back(name, tmp_path):
    made = profile_pb.small()
    again = back(made, tmp_path, name)
    assert profile_pb.plain(again) == profile_pb.plain(made)
    session = wb.open(tmp_path / "one.wb")
    one, two = (session.export(name, tmp_path / each).read_bytes() for each in "ab")
    assert one == two  # and no time of writing is in it


TEXTS = st.sampled_from(
    ["", "a", "main", "libc.so.6", "[kernel]", "x.py", "ü;:\n", "std::f<int>()"]
)
NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(0, 3)
UNSIGNED = st.integers(0, (1 << 64) - 1) | st.integers(0, 3)


@st.composite
def profiles(draw):
    """Any profile that says something."""
    made = profile_pb.Profile()
    strings: dict[str, int] = {"": 0}

    def text(strategy=TEXTS):
        return strings.setdefault(draw(strategy), len(strings))

    width = draw(st.integers(1, 3))
    for number in range(width):
        made.sample_type.add(
            type=strings.setdefault(f"type{number}", len(strings)),
            unit=text(st.sampled_from(["count", "bytes", "widgets", "nanoseconds"])),
        )
    for number in range(draw(st.integers(0, 2))):
        made.mapping.add(
            id=number * 5 + 1, memory_start=draw(UNSIGNED), memory_limit=draw(UNSIGNED),
            file_offset=draw(UNSIGNED), filename=text(), build_id=text(),
            has_functions=draw(st.booleans()), has_inline_frames=draw(st.booleans()),
        )  # fmt: skip
    for number in range(draw(st.integers(1, 3))):
        made.function.add(
            id=number + 9, name=text(), system_name=text(), filename=text(),
            start_line=draw(NUMBERS),
        )  # fmt: skip
    ids = [one.id for one in made.function]
    for number in range(draw(st.integers(1, 4))):
        location = made.location.add(
            id=number + (1 << 40), address=draw(UNSIGNED), is_folded=draw(st.booleans()),
            mapping_id=draw(st.sampled_from([0, *(one.id for one in made.mapping)])),
        )  # fmt: skip
        for _ in range(draw(st.integers(0, 3))):
            location.line.add(
                function_id=draw(st.sampled_from(ids)), column=draw(NUMBERS),
                line=draw(st.integers(0, (1 << 32) - 1)),
            )  # fmt: skip
    ids = [one.id for one in made.location]
    for _ in range(draw(st.integers(1, 5))):
        stack = draw(st.lists(st.sampled_from(ids), max_size=5))
        values = draw(st.lists(st.integers(-(1 << 50), 1 << 50), min_size=width, max_size=width))
        sample = made.sample.add(location_id=stack, value=values)
        for key in draw(
            st.lists(st.sampled_from(["pid", "thread", "comm", "cpu", "k"]), max_size=3)
        ):
            label = sample.label.add(key=strings.setdefault(key, len(strings)))
            if draw(st.booleans()):
                label.str = text(st.sampled_from(["a", "ü"]))
            else:
                label.num = draw(NUMBERS.filter(bool))
                label.num_unit = text(st.sampled_from(["", "bytes"]))
    made.time_nanos = draw(st.integers(1, 1 << 61))
    made.duration_nanos = draw(st.integers(0, 1 << 61))
    made.string_table.extend(strings)
    return made


@settings(max_examples=50)
@given(made=profiles())
def test_any_profile_comes_back(made, tmp_path_factory):
    again = back(made, tmp_path_factory.getbasetemp())
    assert profile_pb.plain(again) == profile_pb.plain(made)


def test_is_recognised():
    content = profile_pb.small().SerializeToString()
    assert recognise(content) == 0.9
    for packed in (content, gzip.compress(content)):
        assert recognised(io.BytesIO(packed))[0] == "pprof"
    other = profile_pb.Profile(string_table=["", "a"], time_nanos=5)
    assert 0 < recognise(other.SerializeToString()) < 0.9
    for text in (b"", b"main;work 5\n", b'{"a": 1}', b"PK\3\4", b"PERFILE2", b"\n", b"\n\n\n"):
        assert recognise(text) == 0, text


@given(st.binary(max_size=64))
def test_recognising_never_fails(head):
    assert 0 <= recognise(head) <= 1


def hostile(rng, content):
    """A content with some bytes changed, cut, doubled, or replaced."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(0, max(len(data), 1)))
        what = rng.integers(0, 6)
        if what == 0 and data:
            data[at % len(data)] = int(rng.integers(0, 256))
        elif what == 1 and data:
            data[at % len(data)] ^= 1 << int(rng.integers(0, 8))
        elif what == 2:
            del data[at : at + int(rng.integers(1, 9))]
        elif what == 3:
            data[at:at] = rng.integers(0, 256, rng.integers(1, 9)).astype(np.uint8).tobytes()
        elif what == 4:
            data[at:at] = data[at : at + int(rng.integers(1, 40))]
        else:
            data[at:at] = b"\xff" * int(rng.integers(1, 12))
    return bytes(data)


def test_ten_thousand_hostile_files():
    """Each gives a profile or says in one sentence why not; none takes long."""
    rng = np.random.default_rng(5)
    small = profile_pb.small()
    for one in small.sample[2:]:
        small.sample.remove(one)
    plain = small.SerializeToString()
    packed = gzip.compress(plain)
    refused = []
    start = time.process_time()
    for number in range(10_000):
        content = hostile(rng, packed if number % 8 == 0 else plain)
        try:
            read(io.BytesIO(content))
        except ImportFormatError as error:
            refused.append(error.what)
    assert all(refused)
    assert 5_000 < len(refused) < 10_000
    assert time.process_time() - start < 300  # bounded, on any machine


def test_hostile_files_as_sessions(tmp_path):
    rng = np.random.default_rng(6)
    plain = profile_pb.small().SerializeToString()
    path, made, refused = tmp_path / "a", 0, []
    for _ in range(60):
        path.write_bytes(hostile(rng, plain))
        try:
            session = wb.open(import_file(path, tmp_path / "a.wb", format="pprof", overwrite=True))
            session.export("pprof", tmp_path / "out")
            session.flamegraph()
            made += 1
        except WorkbenchError as error:
            refused.append(error.what)
    assert made
    assert all(refused)


def test_stacks_that_explode(monkeypatch):
    profile = profile_pb.small()
    for _ in range(100):
        profile.location[0].line.add(function_id=10)
    for _ in range(50):
        profile.sample.add(location_id=[1] * (len(profile.sample) + 2), value=[1, 1])
    content = profile.SerializeToString()
    assert len(read(io.BytesIO(content)).samples[0]) == 55
    monkeypatch.setattr(frames, "MAX_ENTRIES", 10_000)
    with pytest.raises(ImportFormatError, match="10,000 in all"):
        read(io.BytesIO(content))
    monkeypatch.setattr(frames, "MAX_ENTRIES", 100)
    with pytest.raises(ImportFormatError, match="100 in all"):
        read(io.BytesIO(content))
    monkeypatch.setattr(module, "LIMIT", 1000)
    with pytest.raises(ImportFormatError, match="more than 1,000 bytes when"):
        read(io.BytesIO(gzip.compress(content)))


def test_too_many_mappings(monkeypatch):
    monkeypatch.setattr(module, "_MANY", 1)
    with pytest.raises(ImportFormatError, match="more than 1 mappings"):
        read(io.BytesIO(profile_pb.small().SerializeToString()))


def test_views_take_the_table_and_the_unit_of_the_profile(tmp_path):
    made = profile_pb.small()
    for number, text in enumerate(made.string_table):
        made.string_table[number] = {"cpu": "inuse_space", "nanoseconds": "bytes"}.get(text, text)
    path = tmp_path / "heap"
    path.write_bytes(made.SerializeToString())
    session = wb.load(path, tmp_path / "heap.wb")
    assert session.kinds == ("heap",)
    tree = session.flamegraph().tree
    assert (tree.unit, tree.total) == ("bytes", 50_000_000)  # what is negative is not drawn
    assert "28.6 MiB" in session.hotspots().fragment()
    assert session.flamegraph(weight="samples").tree.unit == "events"
    session.export("folded", tmp_path / "folded")
    assert "worker;main;work;small;sys_read 30000000" in (tmp_path / "folded").read_text()
    session.report(tmp_path / "r.html")


def test_equal_stacks_that_are_too_deep_are_refused_before_they_are_compared(monkeypatch):
    profile = profile_pb.small()
    for _ in range(2):
        profile.sample.add(location_id=[1] * 70_000, value=[1, 1])
    monkeypatch.setattr(module, "number_lists", lambda *_: pytest.fail("they were compared"))
    with pytest.raises(ImportFormatError, match="65,536 a stack"):
        read(io.BytesIO(profile.SerializeToString()))


@pytest.mark.parametrize("where", ["name", "file", "label"])
def test_long_texts_in_many_places(where, monkeypatch):
    profile = profile_pb.small()
    profile.string_table.append("x" * 10_000)
    long = len(profile.string_table) - 1
    if where == "label":
        for _ in range(100):
            sample = profile.sample.add(location_id=[1], value=[1, 1])
            sample.label.add(key=1, str=long)
    else:
        one = profile.function[0] if where == "name" else profile.mapping[0]
        setattr(one, "name" if where == "name" else "filename", long)
        for number in range(100):
            location = profile.location.add(id=number + 1000, mapping_id=profile.mapping[0].id)
            location.line.add(function_id=profile.function[0].id)
    content = profile.SerializeToString()
    assert read(io.BytesIO(content))
    monkeypatch.setattr("workbench.profiles.text_columns.MAX_BYTES", 900_000)
    with pytest.raises(ImportFormatError, match="900,000 bytes"):
        read(io.BytesIO(content))
