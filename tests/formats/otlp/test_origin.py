"""The resource and the scope."""

from dataclasses import replace
from uuid import UUID

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from otlp_sessions import attributes, messages, synthetic

from workbench._version import __version__
from workbench.formats.otlp.identity import session_id
from workbench.formats.otlp.origin import resource, resource_attributes, scope


def test_the_resource(tmp_path):
    rec = synthetic(tmp_path, 10)
    assert attributes(Resource.FromString(resource(rec))) == {
        "service.name": "python3",
        "service.instance.id": str(UUID(bytes=session_id(rec.manifest))),
        "host.name": "synthetic",
        "host.arch": "amd64",
        "os.type": "linux",
        "os.version": "6.18.0",
        "telemetry.sdk.name": "workbench",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": __version__,
        "workbench.session.id": session_id(rec.manifest).hex(),
    }


def test_what_the_session_lacks_is_left_out(tmp_path, monkeypatch):
    rec = synthetic(tmp_path, 10)
    bare = replace(rec.manifest, host={}, target={})
    monkeypatch.setattr(type(rec), "manifest", bare)
    found = resource_attributes(rec)
    assert "host.name" not in found
    assert found["service.name"] == "unknown_service"


def test_the_environment_takes_precedence(tmp_path, monkeypatch):
    rec = synthetic(tmp_path, 10)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=x,host.name=a%2Cb,team=7")
    found = attributes(Resource.FromString(resource(rec)))
    assert (found["service.name"], found["host.name"], found["team"]) == ("shop", "a,b", "7")
    # It is in everything that is exported: profiles have a resource, too.
    for signal in ("traces", "metrics", "logs", "profiles"):
        for message in messages(rec, signal):
            (of_signal,) = getattr(message, f"resource_{signal.replace('traces', 'spans')}")
            assert attributes(of_signal.resource) == found


def test_the_scope(tmp_path):
    found = InstrumentationScope.FromString(scope(synthetic(tmp_path, 10)))
    assert (found.name, found.version) == ("workbench", __version__)
    assert set(attributes(found)) == {"workbench.profile.cpu", "workbench.profile.offcpu"}
