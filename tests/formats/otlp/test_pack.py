"""Requests under a limit: every item in one of them, in order."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from workbench.errors import ExportError
from workbench.formats.otlp import pack, wire
from workbench.formats.otlp.pack import Packer

RESOURCE = wire.integer(2, 5)
SCOPE = wire.field(1, "scope")


def spans_of(requests):
    found = []
    for request in requests:
        message = ExportTraceServiceRequest.FromString(request.body)
        (resource,) = message.resource_spans
        (scope,) = resource.scope_spans
        assert resource.resource.dropped_attributes_count == 5
        assert scope.scope.name == "scope"
        assert resource.schema_url == scope.schema_url == "url"
        assert len(scope.spans) == request.items > 0
        found += [span.name for span in scope.spans]
    return found


@given(
    st.lists(st.lists(st.text("ab", max_size=60), max_size=20), max_size=6),
    st.integers(150, 400),
)
def test_all_items_once_in_order(slices, max_bytes):
    packer = Packer("traces", RESOURCE, SCOPE, max_bytes, "url")
    requests = []
    for names in slices:
        raw = [wire.field(2, wire.field(5, name)) for name in names]
        requests += packer.rows(pa.array(raw, pa.binary()))
    requests += packer.rest()
    assert spans_of(requests) == [name for names in slices for name in names]
    assert all(len(request.body) <= max_bytes for request in requests)
    assert all(request.signal == "traces" for request in requests)


def test_requests_are_full():
    packer = Packer("traces", RESOURCE, SCOPE, 1000, "url")
    item = wire.field(2, wire.field(5, "x" * 46))
    requests = [*packer.rows(pa.array([item] * 100)), *packer.rest()]
    assert all(len(each.body) > 1000 - len(item) - 40 for each in requests[:-1])


@given(st.lists(st.integers(0, 30), max_size=8), st.integers(1, 20))
def test_requests_hold_few_enough_items(slices, most):
    item = wire.field(2, wire.field(5, "x"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack, "MAX_ITEMS", most)
        packer = Packer("traces", RESOURCE, SCOPE, 10_000, "url")
        requests = [r for n in slices for r in packer.rows(pa.array([item] * n, pa.binary()))]
        requests += packer.rest()
    assert len(spans_of(requests)) == sum(slices)
    assert all(request.items == most for request in requests[:-1])


def test_several_items_at_a_time_are_few_enough(monkeypatch):
    monkeypatch.setattr(pack, "MAX_ITEMS", 5)
    packer = Packer("metrics", RESOURCE, SCOPE, 10_000)
    made = [r for n in (2, 3, 1, 9, 4) for r in packer.item(b"x", n)] + list(packer.rest())
    assert [request.items for request in made] == [5, 1, 9, 4]  # a metric is not cut here


def test_items_that_hold_several():
    packer = Packer("metrics", RESOURCE, SCOPE, 200)
    requests = [r for _ in range(5) for r in packer.item(b"x" * 60, 3)] + list(packer.rest())
    assert [request.items for request in requests] == [6, 6, 3]
    assert not list(packer.rest())


def test_what_does_not_fit_is_refused():
    with pytest.raises(ExportError, match="fits into 10 bytes"):
        Packer("traces", RESOURCE, SCOPE, 10)
    packer = Packer("traces", RESOURCE, SCOPE, 100)
    with pytest.raises(ExportError, match="200 bytes"):
        list(packer.rows(pa.array([b"x" * 200])))
    with pytest.raises(ExportError, match="200 bytes"):
        list(packer.item(b"x" * 200, 1))
