"""Spans of columns, read with the generated class and compared field by field."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span, Status
from otlp_sessions import attributes as read

from workbench.formats.otlp import attributes as of
from workbench.formats.otlp.traces import spans

U64 = st.integers(1, 2**64 - 1)
TIME = st.integers(0, 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ROW = st.tuples(
    U64, U64, U64, st.integers(0, 2**64 - 1), TIME, TIME, TEXT, st.integers(0, 5), TEXT, U64
)


def u64(values):
    return np.array(values, np.uint64)


@given(st.lists(ROW, min_size=1))
def test_every_field(rows):
    first, second, span, parent, start, end, name, kind, error, linked = map(
        list, zip(*rows, strict=True)
    )
    linked = [each if place % 2 else 0 for place, each in enumerate(linked)]
    made = spans.Spans(
        trace=(u64(first), u64(second)),
        span=u64(span),
        parent=u64(parent),
        start=np.array(start),
        end=np.array(end),
        name=pa.array(name),
        kind=np.array(kind),
        attributes=[of.texts(spans.ATTRIBUTE, "error", pa.array(error))],
        more=[
            spans.links((u64(second), u64(first)), u64(linked)),
            spans.statuses(pa.array(error)),
        ],
    )
    found = ScopeSpans.FromString(b"".join(spans.encoded(made).to_pylist())).spans
    expected = []
    for i in range(len(rows)):
        one = Span(
            trace_id=first[i].to_bytes(8, "big") + second[i].to_bytes(8, "big"),
            span_id=span[i].to_bytes(8, "big"),
            parent_span_id=parent[i].to_bytes(8, "big") if parent[i] else b"",
            start_time_unix_nano=start[i],
            end_time_unix_nano=end[i],
            name=name[i],
            kind=kind[i],
            flags=0x101,
        )
        if error[i]:
            one.attributes.add(key="error").value.string_value = error[i]
            one.status.code, one.status.message = Status.STATUS_CODE_ERROR, error[i]
        if linked[i]:
            one.links.add(
                trace_id=second[i].to_bytes(8, "big") + first[i].to_bytes(8, "big"),
                span_id=linked[i].to_bytes(8, "big"),
                flags=0x101,
            )
        expected.append(one)
    assert list(found) == expected
    assert [read(each) for each in found] == [{"error": e} if e else {} for e in error]


def test_failed_without_a_message():
    good, bad = spans.failed(np.array([False, True])).to_pylist()
    assert good is None
    assert Span.FromString(bad).status == Status(code=Status.STATUS_CODE_ERROR)


def test_no_spans():
    none = np.zeros(0, np.uint64)
    empty = spans.Spans((none, none), none, none, none, none, pa.array([], pa.string()))
    assert spans.encoded(empty).to_pylist() == []
