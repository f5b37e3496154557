"""OTLP, pprof and all other files are told apart by their content."""

from __future__ import annotations

import gzip
import io

import profile_pb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from otlp_made import Made, delimited, json_lines, simple
from otlp_sessions import synthetic
from reading import recognised_as

from workbench.formats import export, recognised
from workbench.formats.otlp.reading.recognise import recognise_json, recognise_protobuf
from workbench.formats.pprof.read import recognise
from workbench.session import open_session


def deep(frames=100_000):
    """A request whose first message is larger than what is looked at."""
    made = simple()
    made.stack(*[1] * frames)
    return made


def test_requests_are_recognised():
    body = simple().body()
    large = deep().body()
    dictionary, others = simple(), simple()
    dictionary.data.ClearField("resource_profiles")
    others.data.ClearField("dictionary")
    swapped = dictionary.body() + others.body()  # fields may come in any order
    for content in (body, large, swapped, delimited(body), delimited(large, body)):
        for packed in (content, gzip.compress(content)):
            assert recognised_as(packed) == "otlp-proto"
            assert recognised_as(packed, "profile.pb.gz") == "otlp-proto"
        assert recognise(content) < recognise_protobuf(content)
    for content in (json_lines(body), json_lines(large), json_lines(body).replace(b'{"', b'{\n"')):
        assert recognised_as(content) == "otlp-json"
        assert recognised_as(gzip.compress(content), "x.speedscope.json") == "otlp-json"
    first = b'{"dictionary":{"stringTable":["' + b"x" * 100_000 + b'"]},"resourceProfiles":[]}'
    assert recognised_as(first) == "otlp-json"
    assert recognised_as(b'{"resourceSpans":[]}\n') == "otlp-json"  # profiles may follow


def test_what_was_exported_is_recognised(tmp_path):
    for name in ("slow-api", "orders"):
        rec = open_session(f"datasets/{name}.wb")
        for format, table in (("otlp-proto", "profiles"), ("otlp-json", "profiles"),
                              ("pprof", None), ("pprof-plain", None)):  # fmt: skip
            content = export(rec, format, tmp_path / "x", table=table).read_bytes()
            expected = format.removesuffix("-plain")
            assert recognised_as(content) == expected
    rec = synthetic(tmp_path, 300)
    content = export(rec, "otlp-json", tmp_path / "x").read_bytes()
    assert recognised_as(content) == "otlp-json"


def pprof_files():
    """Profiles of pprof, with their fields in several orders, small and large."""
    small = profile_pb.small()
    yield small.SerializeToString()
    for names in ("sample_type", "string_table", "sample", "location", "sample mapping"):
        first, rest = profile_pb.Profile(), profile_pb.Profile()
        first.CopyFrom(small)
        rest.CopyFrom(small)
        for field in small.DESCRIPTOR.fields:
            (rest if field.name in names.split() else first).ClearField(field.name)
        yield first.SerializeToString() + rest.SerializeToString()
    for name, count in (("sample", 20_000), ("location", 20_000)):
        large = profile_pb.small()
        getattr(large, name).extend([getattr(small, name)[0]] * count)
        yield large.SerializeToString()
    nothing = profile_pb.small()
    nothing.sample_type[0].Clear()
    yield nothing.SerializeToString()


def test_pprof_is_not_taken_for_it():
    for content in pprof_files():
        assert recognise_protobuf(content) == 0
        for packed in (content, gzip.compress(content)):
            assert recognised(io.BytesIO(packed), "x.otlp.pb")[0] == "pprof"


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"\n\n\n", b"\n" * 5000, b"main;work 5\n", b"PERFILE2" * 20, b"PK\3\4", b"\0" * 99,
     b"\0\0\0\5hello", b"{}", b'{"a": 1}', b"[]", Made().data.SerializeToString()],
)  # fmt: skip
def test_other_files(content):
    assert recognise_json(content) == 0
    assert recognise_protobuf(content) == (0.8 if content.startswith(b"\x12") else 0)


@given(st.binary(max_size=64))
def test_recognising_never_fails(head):
    assert 0 <= recognise_json(head) <= 1
    assert 0 <= recognise_protobuf(head) <= 1
