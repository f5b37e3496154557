"""Certificates for both transports, checked before anything is sent."""

from __future__ import annotations

import ssl
from pathlib import Path

from workbench.errors import DestinationError
from workbench.formats.otlp.sending.settings import Destination


def context(destination: Destination) -> ssl.SSLContext:
    """Return what an HTTPS connection trusts and shows.

    Raises
    ------
    DestinationError
        A file holds no certificate or key, or they do not belong together.
    """
    _complete(destination)
    try:
        made = ssl.create_default_context(cafile=destination.certificate)
    except (ssl.SSLError, OSError) as error:
        raise _unusable(destination.certificate, error) from error
    if destination.client_certificate:
        try:
            made.load_cert_chain(
                destination.client_certificate,
                destination.client_key,
                password=lambda: "",  # never ask on the terminal
            )
        except (ssl.SSLError, OSError) as error:
            raise _unusable(destination.client_certificate, error) from error
    return made


def pem(destination: Destination) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Return trusted certificates, own key and own certificates as gRPC takes them.

    gRPC brings a list of authorities of its own; those of the system are given instead, so that
    both transports trust the same.

    Raises
    ------
    DestinationError
        As :func:`context`, which checks the files: gRPC takes anything and fails at connecting.
    """
    context(destination)
    own = destination.client_certificate
    key = destination.client_key or own
    return (
        _read(destination.certificate or _of_the_system()),
        _read(key if own else None),
        _read(own),
    )


def _of_the_system() -> Path | None:
    found = ssl.get_default_verify_paths().cafile
    return Path(found) if found else None


def _read(path: Path | None) -> bytes | None:
    try:
        return path.read_bytes() if path else None
    except OSError as error:
        raise _unusable(path, error) from error


def _complete(destination: Destination) -> None:
    if destination.client_key and not destination.client_certificate:
        raise DestinationError(
            "There is a client key, but no client certificate.",
            advice="Give both, client_key and client_certificate.",
        )


def _unusable(path: Path | None, error: OSError) -> DestinationError:
    return DestinationError(
        f"{path} cannot be used for TLS.",
        why=str(error),
        advice="It has to be a PEM file; a key has to belong to its certificate, without password.",
    )
