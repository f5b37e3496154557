"""Endpoints of OTLP: URLs for HTTP, targets for gRPC."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit, urlunsplit

from workbench.errors import DestinationError

# Schemes of gRPC's own resolvers (grpc/doc/naming.md).
_GRPC_SCHEME = re.compile(
    r"(dns|unix|unix-abstract|vsock|ipv4|ipv6|xds|google-c2p):", re.IGNORECASE
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.\-]*://", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}


def http_url(endpoint: str, path: str) -> str:
    """Return the URL that a signal is sent to.

    Parameters
    ----------
    endpoint : str
        A URL with ``http`` or ``https``.
    path : str
        Appended to the endpoint, which is a base URL then; empty: the endpoint is taken as it
        is, and one without a path means ``/``.

    Raises
    ------
    DestinationError
        The endpoint is no such URL.
    """
    parts = _split(endpoint)
    whole = f"{parts.path.rstrip('/')}/{path}" if path else parts.path or "/"
    return urlunsplit((parts.scheme, parts.netloc, whole, parts.query, ""))


def grpc_target(endpoint: str, insecure: bool, trusting: bool) -> tuple[str, bool]:
    """Return the target for gRPC, and whether TLS is used.

    Parameters
    ----------
    endpoint : str
        A URL, whose scheme decides on TLS, or any target that gRPC knows.
    insecure : bool
        No TLS, where the endpoint does not say.
    trusting : bool
        A certificate to trust was given. Without one, Unix sockets are used without TLS.

    Raises
    ------
    DestinationError
        The endpoint has a path, or is no URL and no target.
    """
    if _SCHEME.match(endpoint) and not _GRPC_SCHEME.match(endpoint):
        parts = _split(endpoint)
        if parts.path.strip("/") or parts.query:
            raise DestinationError(
                f"The endpoint {endpoint!r} has a path, which gRPC does not know.",
                advice="Leave the path out, or use the protocol http/protobuf.",
            )
        port = parts.port or _PORTS[parts.scheme]
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{host}:{port}", parts.scheme == "https"
    if not endpoint or endpoint.split() != [endpoint]:
        raise DestinationError(f"{endpoint!r} is no endpoint.", advice="Write host:port.")
    if endpoint.lower().startswith(("unix:", "unix-abstract:")):
        return endpoint, trusting
    return endpoint, not insecure


def _split(endpoint: str) -> SplitResult:
    """Take a URL apart and see that it is one of HTTP with nothing that would be ignored."""
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError as error:
        raise DestinationError(f"{endpoint!r} is no URL.", why=str(error)) from error
    if parts.scheme not in _PORTS or not parts.hostname or port == 0:
        raise DestinationError(
            f"{endpoint!r} is no URL of a receiver.",
            advice="Write http://host:port or https://host:port.",
        )
    if parts.username is not None or parts.password is not None:
        raise DestinationError(
            "The endpoint has a user or password, which would not be sent.",
            advice="Give the header Authorization instead.",
        )
    if endpoint.split() != [endpoint]:
        raise DestinationError(f"{endpoint!r} has white space.", advice="Encode it as %20.")
    return parts
