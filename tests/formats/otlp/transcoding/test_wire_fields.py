"""Fields found by the column against protobuf's own reader."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from workbench.formats.otlp.transcoding import wire_fields
from workbench.formats.otlp.transcoding.json_schema import plan_of
from workbench.formats.otlp.transcoding.wire_fields import PADDING, Walk
from workbench.formats.otlp.transcoding.wire_varints import Irregular

U64 = st.integers(0, 2**64 - 1)
SPANS = st.lists(
    st.builds(
        Span,
        trace_id=st.binary(max_size=16),
        name=st.text(max_size=200),
        kind=st.integers(0, 5),
        start_time_unix_nano=U64,
        dropped_links_count=st.integers(0, 2**32 - 1),
        flags=st.integers(0, 2**32 - 1),
        links=st.lists(st.builds(Span.Link, span_id=st.binary(max_size=8)), max_size=3),
    ),
    max_size=70,
)


def walk(messages, keys):
    """Walk through serialised messages of a type."""
    ends = np.cumsum([0, *map(len, messages)])
    data = np.frombuffer(b"".join(messages) + PADDING, np.uint8)
    return data, dict(Walk(data, ends[:-1], ends[1:], keys).fields())


@pytest.fixture(params=[0, 10**9], ids=["in lockstep", "one by one"])
def way(request, monkeypatch):
    """Both ways to walk through messages, however many there are."""
    monkeypatch.setattr(wire_fields, "_FEW", request.param)


@pytest.mark.usefixtures("way")
def test_fields_are_protobufs():
    @given(SPANS)
    def check(spans):
        data, found = walk([s.SerializeToString() for s in spans], plan_of(Span.DESCRIPTOR))
        raw = data.tobytes()
        keys = sorted(found)
        assert list(found) == keys
        for number, name in ((1, "trace_id"), (5, "name")):
            part = found.get(number << 3 | 2)
            texts = (
                {} if part is None else dict(zip(part.rows.tolist(), cut(raw, part), strict=True))
            )
            given_ = [getattr(span, name) for span in spans]
            expected = [each.encode() if isinstance(each, str) else each for each in given_]
            assert [texts.get(row, b"") for row in range(len(spans))] == expected
        for number, name in ((6, "kind"), (14, "dropped_links_count")):
            part = found.get(number << 3)
            numbers = (
                {}
                if part is None
                else dict(zip(part.rows.tolist(), part.start.tolist(), strict=True))
            )
            expected = [getattr(span, name) for span in spans]
            assert [numbers.get(row, 0) for row in range(len(spans))] == expected
        links = found.get(13 << 3 | 2)
        got = [] if links is None else list(zip(links.rows.tolist(), cut(raw, links), strict=True))
        expected = [
            (row, link.SerializeToString()) for row, span in enumerate(spans) for link in span.links
        ]
        assert got == expected

    check()


def cut(raw, part):
    return [raw[a:b] for a, b in zip(part.start.tolist(), part.end.tolist(), strict=True)]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    "body",
    [
        b"\x0a",  # no length
        b"\x0a\x05ab",  # cut short
        b"\x0a\x85",  # the length cut short
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # longer than anything
        b"\x0a" + b"\xff" * 11,  # no number
        b"\x12\x00",  # a field that is not known
        b"\x0b",  # a group
        b"\x08\x01",  # another wire type
        b"\xff\xff\xff\xff\x7f\x00",  # a key that is too long
    ],
)
def test_what_is_not_as_protobuf_writes_it(body):
    with pytest.raises(Irregular):
        walk([body], {0x0A: None})
    with pytest.raises(Irregular):
        walk([b"\x0a\x01x", body], {0x0A: None})


@pytest.mark.usefixtures("way")
def test_a_field_does_not_reach_into_the_next_message():
    with pytest.raises(Irregular):
        walk([b"\x09abcd", b"\x09abcdefgh"], {0x09: None})


@pytest.mark.usefixtures("way")
def test_any_bytes_end():
    @given(st.lists(st.binary(max_size=40)))
    def check(messages):
        try:
            _, found = walk(messages, plan_of(ExportTraceServiceRequest.DESCRIPTOR))
        except Irregular:
            return
        assert all((part.end >= part.start).all() for part in found.values())

    check()
