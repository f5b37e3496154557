"""What ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES`` say of the resource.

The rules are those of the OpenTelemetry specification, *Resource SDK* ("Specifying resource
information via an environment variable") and *Environment Variable Specification*.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import unquote

from workbench.errors import DestinationError

NAME, ATTRIBUTES = "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"


def told(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the attributes of the resource that the environment gives.

    Parameters
    ----------
    environ : mapping, optional
        Default :data:`os.environ`. Empty variables count as none.

    Raises
    ------
    DestinationError
        ``OTEL_RESOURCE_ATTRIBUTES`` is no list of ``key=value``. The specification has it dropped
        with a message; here nothing is sent under another name than its sender wrote.
    """
    given = os.environ if environ is None else environ
    found: dict[str, str] = {}
    for part in given.get(ATTRIBUTES, "").split(","):
        if not part.strip():
            continue
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise DestinationError(
                f"{ATTRIBUTES} has a part that is no key=value: {part.strip()!r}.",
                advice="Write key=value,key=value; a comma within a value is %2C.",
            )
        found[unquote(key.strip())] = unquote(value.strip())
    name = given.get(NAME, "").strip()
    return found | {"service.name": name} if name else found
