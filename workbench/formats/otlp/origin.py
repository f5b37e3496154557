"""Where telemetry comes from: the resource and the scope that every request names."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from workbench._version import __version__
from workbench.formats.otlp import wire
from workbench.formats.otlp.attributes import Value, key_values
from workbench.formats.otlp.identity import profile_id, session_id
from workbench.formats.otlp.profiles.profile_types import profile_types
from workbench.formats.otlp.resource_environment import told

if TYPE_CHECKING:
    from workbench.recording import Recording

SCOPE = "workbench"
SCHEMA_URL = "https://opentelemetry.io/schemas/1.37.0"
"""Version of the semantic conventions whose names are used."""
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""``host.arch`` as the conventions name what ``uname -m`` prints."""


def resource_attributes(rec: Recording) -> dict[str, Value]:
    """Return what is known of the machine and the session; what the session lacks is left out.

    The instance of the service is the session: receivers tell series of several sessions, whose
    counters all begin at zero, by it. What the environment says takes precedence.

    Raises
    ------
    DestinationError
        ``OTEL_RESOURCE_ATTRIBUTES`` has no meaning.
    """
    host = rec.manifest.host
    session = session_id(rec.manifest)
    machine = str(host.get("machine", ""))
    command = rec.manifest.target.get("command")
    words = [str(word) for word in command] if isinstance(command, list | tuple) else []
    found: dict[str, Value] = {
        "service.name": words[0].rsplit("/", 1)[-1] if words else "unknown_service",
        "service.instance.id": str(UUID(bytes=session)),
        "host.name": str(host.get("node", "")),
        "host.arch": _ARCHITECTURES.get(machine, machine),
        "os.type": "linux",
        "os.version": str(host.get("kernel", "")),
        "telemetry.sdk.name": SCOPE,
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": __version__,
        "workbench.session.id": session.hex(),
    }
    found |= told()
    return {key: value for key, value in found.items() if value != ""}


def resource(rec: Recording) -> bytes:
    """Return the message ``Resource``."""
    return key_values(1, resource_attributes(rec))


def profile_attributes(rec: Recording) -> dict[str, Value]:
    """Return the attributes that name the profiles of a session: ``workbench.profile.NAME``."""
    session = session_id(rec.manifest)
    return {
        f"workbench.profile.{each.name}": profile_id(session, each.name).hex()
        for each in profile_types(rec)
    }


def scope(rec: Recording) -> bytes:
    """Return the message ``InstrumentationScope``.

    Its attributes ``workbench.profile.NAME`` name the profiles that cover what the request
    holds, as hexadecimal ``profile_id``: once for all spans, and with those that samples link to.
    """
    profiles = profile_attributes(rec)
    return wire.field(1, SCOPE) + wire.field(2, __version__) + key_values(3, profiles)
