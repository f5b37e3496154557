"""The resource and the scope."""

from dataclasses import replace

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from otlp_sessions import attributes, synthetic

from workbench._version import __version__
from workbench.formats.otlp.identity import session_id
from workbench.formats.otlp.origin import resource, resource_attributes, scope


def test_the_resource(tmp_path):
    rec = synthetic(tmp_path, 10)
    assert attributes(Resource.FromString(resource(rec))) == {
        "service.name": "python3",
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


def test_the_scope(tmp_path):
    found = InstrumentationScope.FromString(scope(synthetic(tmp_path, 10)))
    assert (found.name, found.version) == ("workbench", __version__)
    assert set(attributes(found)) == {"workbench.profile.cpu", "workbench.profile.offcpu"}
