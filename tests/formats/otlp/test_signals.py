"""The table of signals agrees with the official service stubs."""

import importlib
import sys

import pytest
from otlp_messages import MAKERS, identities

from workbench.errors import ExportError
from workbench.formats.otlp import signals
from workbench.formats.otlp.signals import SIGNALS, items_of, known, weigh


@pytest.mark.parametrize("signal", SIGNALS.values(), ids=SIGNALS)
def test_methods_are_those_of_the_official_stubs(signal):
    stem = signal.package.split(".")[0]
    module = importlib.import_module(
        f"opentelemetry.proto.collector.{signal.package}.{stem}_service_pb2_grpc"
    )
    seen = []

    class Channel:
        def unary_unary(self, method, **options):
            seen.append((method, options["request_serializer"], options["response_deserializer"]))

    getattr(module, f"{signal.service}ServiceStub")(Channel())
    assert [method for method, _, _ in seen] == [signal.method]
    assert seen[0][1](signal.request()()) == b""
    assert isinstance(seen[0][2](b""), signal.response())


@pytest.mark.parametrize("signal", SIGNALS.values(), ids=SIGNALS)
def test_levels_lead_to_the_items_and_the_answer_counts_them(signal):
    message = signal.request().FromString(MAKERS[signal.name](3, 9).body)
    assert sorted(identities(signal.name, message)) == list(range(3, 12))
    assert hasattr(signal.response()().partial_success, signal.rejected)


def test_a_metric_without_data_has_no_points():
    scope = SIGNALS["metrics"].request()().resource_metrics.add().scope_metrics.add()
    assert list(items_of(scope.metrics.add(), "data_points")) == []


def test_unknown_signals_are_told():
    with pytest.raises(ExportError, match="no signal 'spans'") as caught:
        known("spans")
    assert "traces, metrics, logs, profiles" in caught.value.advice


def test_missing_packages_are_told(monkeypatch):
    name = "opentelemetry.proto.collector.trace.v1.trace_service_pb2"
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ExportError, match="not installed") as caught:
        SIGNALS["traces"].request()
    assert "ebpf-workbench[otlp]" in caught.value.advice
    assert signals.require("json", "math").sqrt(4) == 2


def test_a_sample_stands_for_all_its_times():
    assert weigh("traces", None) == 1
    profile = SIGNALS["profiles"].request()().resource_profiles.add().scope_profiles.add()
    sample = profile.profiles.add().samples.add()
    assert weigh("profiles", sample) == 1
    sample.values.extend([1, 2])
    assert weigh("profiles", sample) == 2
    sample.timestamps_unix_nano.extend([1, 2, 3])
    assert weigh("profiles", sample) == 3
