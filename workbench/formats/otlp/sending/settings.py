"""Where a signal is sent and how: arguments, then ``OTEL_EXPORTER_OTLP_*``, then defaults.

The rules are those of the OpenTelemetry specification, *OpenTelemetry Protocol Exporter*
(``specification/protocol/exporter.md``); where it leaves a choice, the docstrings say which.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workbench.errors import DestinationError
from workbench.formats.otlp.sending.headers import checked, parse
from workbench.formats.otlp.sending.urls import grpc_target, http_url
from workbench.formats.otlp.signals import Signal

PROTOCOLS = ("grpc", "http/protobuf", "http/json")
COMPRESSIONS = ("none", "gzip")
DEFAULT_TIMEOUT = 10.0
"""Seconds for one attempt, as specified."""
DEFAULT_ENDPOINTS = {"grpc": "http://localhost:4317", "http": "http://localhost:4318"}

_PREFIX = "OTEL_EXPORTER_OTLP_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a caller asks for; ``None`` leaves it to the environment, then to the defaults.

    Parameters
    ----------
    endpoint : str, optional
        A base URL (``v1/traces`` and the like are appended for HTTP), as in
        ``OTEL_EXPORTER_OTLP_ENDPOINT``; for gRPC also any target that gRPC knows.
    protocol : str, optional
        ``grpc``, ``http/protobuf`` (default) or ``http/json``.
    headers : mapping or str, optional
        Sent with each request; a text is ``key=value,key=value``, with values percent-encoded.
        They replace those of the environment.
    compression : str, optional
        ``none`` (default) or ``gzip``.
    timeout : float, optional
        Seconds for one attempt; 0: no limit. Default 10.
    certificate, client_key, client_certificate : path, optional
        PEM files: whom to trust instead of the system's authorities; the own key and certificate.
    insecure : bool, optional
        For gRPC endpoints without ``http://`` or ``https://``: no TLS.
    """

    endpoint: str | None = None
    protocol: str | None = None
    headers: Mapping[str, str] | str | None = None
    compression: str | None = None
    timeout: float | None = None
    certificate: str | os.PathLike[str] | None = None
    client_key: str | os.PathLike[str] | None = None
    client_certificate: str | os.PathLike[str] | None = None
    insecure: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where one signal goes, all settled.

    Parameters
    ----------
    signal : Signal
        What is sent.
    protocol : str
        One of :data:`PROTOCOLS`.
    url : str
        The URL for HTTP, the target for gRPC.
    secure : bool
        With TLS.
    headers : mapping
        Names in lower case.
    gzip : bool
        Whether bodies are compressed.
    timeout : float or None
        Seconds for one attempt.
    certificate, client_key, client_certificate : Path or None
        PEM files.
    """

    signal: Signal
    protocol: str
    url: str
    secure: bool
    headers: Mapping[str, str] = field(repr=False)  # they hold keys of services
    gzip: bool
    timeout: float | None
    certificate: Path | None
    client_key: Path | None
    client_certificate: Path | None


def resolve(
    signal: Signal, options: Options, environ: Mapping[str, str] | None = None
) -> Destination:
    """Settle where a signal goes.

    Parameters
    ----------
    signal : Signal
        What is to be sent.
    options : Options
        The caller's wishes; they take precedence over the environment.
    environ : mapping, optional
        Default :data:`os.environ`. An empty variable counts as none, as specified.

    Raises
    ------
    DestinationError
        A setting has no meaning, or a file of a certificate cannot be read.
    """
    given = _Environment(os.environ if environ is None else environ, signal)
    protocol = _choice("protocol", options.protocol or given("PROTOCOL"), PROTOCOLS, 1)
    compression = _choice(
        "compression", options.compression or given("COMPRESSION"), COMPRESSIONS, 0
    )
    headers = options.headers if options.headers is not None else given("HEADERS") or ""
    certificate = _file(options.certificate or given("CERTIFICATE"))
    url, secure = _address(signal, protocol, options, given, certificate is not None)
    return Destination(
        signal=signal,
        protocol=protocol,
        url=url,
        secure=secure,
        headers=parse(headers) if isinstance(headers, str) else checked(headers),
        gzip=compression == "gzip",
        timeout=_timeout(options.timeout, given("TIMEOUT")),
        certificate=certificate,
        client_key=_file(options.client_key or given("CLIENT_KEY")),
        client_certificate=_file(options.client_certificate or given("CLIENT_CERTIFICATE")),
    )


class _Environment:
    """The variables of a signal before those of all signals."""

    def __init__(self, environ: Mapping[str, str], signal: Signal) -> None:
        self._environ = environ
        self._signal = signal.name.upper()

    def own(self, name: str) -> str | None:
        """Return the variable of this signal."""
        return self._environ.get(f"{_PREFIX}{self._signal}_{name}", "").strip() or None

    def common(self, name: str) -> str | None:
        """Return the variable of all signals."""
        return self._environ.get(f"{_PREFIX}{name}", "").strip() or None

    def __call__(self, name: str) -> str | None:
        return self.own(name) or self.common(name)


def _address(
    signal: Signal, protocol: str, options: Options, given: _Environment, trusting: bool
) -> tuple[str, bool]:
    """Return the URL or target, and whether TLS is used."""
    own = None if options.endpoint else given.own("ENDPOINT")
    base = options.endpoint or given.common("ENDPOINT")
    if protocol == "grpc":
        insecure = options.insecure
        if insecure is None:
            insecure = (given("INSECURE") or "").lower() == "true"
        return grpc_target(own or base or DEFAULT_ENDPOINTS["grpc"], insecure, trusting)
    url = http_url(own or base or DEFAULT_ENDPOINTS["http"], "" if own else signal.path)
    return url, url.startswith("https:")


def _choice(what: str, value: str | None, choices: tuple[str, ...], default: int) -> str:
    """Return a value of a list.

    The specification lets exporters warn and go on with another value. Data that goes elsewhere
    than its sender wrote is worse than an error before anything is sent.
    """
    if not value:
        return choices[default]
    if value.lower() not in choices:
        raise DestinationError(
            f"OTLP has no {what} {value!r} here.", advice=f"Use {', '.join(choices)}."
        )
    return value.lower()


def _timeout(argument: float | None, variable: str | None) -> float | None:
    """Return seconds; the variable is in milliseconds (sdk-environment-variables.md, Timeout)."""
    try:
        seconds = argument if argument is not None else int(variable) / 1000 if variable else None
    except ValueError:
        seconds = math.nan
    if seconds is None:
        return DEFAULT_TIMEOUT
    if not 0 <= seconds < math.inf:
        raise DestinationError(
            f"A timeout of {variable if argument is None else argument} has no meaning.",
            advice="The argument is in seconds, the variable in whole milliseconds; 0: no limit.",
        )
    return seconds or None


def _file(name: str | os.PathLike[str] | None) -> Path | None:
    """Return a file that can be read."""
    if name is None:
        return None
    path = Path(name)
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise DestinationError(
            f"{path} cannot be read.", why=error.strerror or "", advice="Name a PEM file."
        ) from error
