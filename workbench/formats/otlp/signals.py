"""The four signals of OTLP: where they are sent, and which message classes they have."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from workbench.errors import ExportError


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal of OTLP, as ``opentelemetry/proto/collector`` defines it.

    Parameters
    ----------
    name : str
        ``traces``, ``metrics``, ``logs`` or ``profiles``.
    items : str
        What is counted: ``spans``, ``data points``, ``log records`` or ``samples``.
    path : str
        Path of OTLP/HTTP below the base URL.
    package : str
        Package of the service below ``opentelemetry.proto.collector``.
    service : str
        Name of the gRPC service without ``Service``.
    rejected : str
        Field of the partial success that counts what the receiver rejected.
    levels : tuple of str
        Repeated fields on the way from the request to its items.
    """

    name: str
    items: str
    path: str
    package: str
    service: str
    rejected: str
    levels: tuple[str, ...]

    @property
    def method(self) -> str:
        """The gRPC method, as the official stubs call it."""
        return f"/opentelemetry.proto.collector.{self.package}.{self.service}Service/Export"

    def request(self) -> Any:
        """Return the message class of a request.

        Raises
        ------
        ExportError
            ``opentelemetry-proto`` is not installed.
        """
        return self._class("Request")

    def response(self) -> Any:
        """Return the message class of an answer.

        Raises
        ------
        ExportError
            ``opentelemetry-proto`` is not installed.
        """
        return self._class("Response")

    def _class(self, end: str) -> Any:
        stem = self.package.split(".", maxsplit=1)[0]
        name = f"opentelemetry.proto.collector.{self.package}.{stem}_service_pb2"
        return getattr(require(name), f"Export{self.service}Service{end}")


SIGNALS = {
    signal.name: signal
    for signal in (
        Signal(
            "traces",
            "spans",
            "v1/traces",
            "trace.v1",
            "Trace",
            "rejected_spans",
            ("resource_spans", "scope_spans", "spans"),
        ),
        Signal(
            "metrics",
            "data points",
            "v1/metrics",
            "metrics.v1",
            "Metrics",
            "rejected_data_points",
            ("resource_metrics", "scope_metrics", "metrics", "data_points"),
        ),
        Signal(
            "logs",
            "log records",
            "v1/logs",
            "logs.v1",
            "Logs",
            "rejected_log_records",
            ("resource_logs", "scope_logs", "log_records"),
        ),
        Signal(
            "profiles",
            "samples",
            "v1development/profiles",
            "profiles.v1development",
            "Profiles",
            "rejected_profiles",
            ("resource_profiles", "scope_profiles", "profiles", "samples"),
        ),
    )
}
"""The signals by name."""


def require(*modules: str) -> Any:
    """Import modules that come with the extra ``otlp``; return the last.

    Raises
    ------
    ExportError
        One is not installed.
    """
    try:
        return [importlib.import_module(module) for module in modules][-1]
    except ImportError as error:
        raise ExportError(
            "OTLP needs packages that are not installed.",
            why=str(error),
            advice="pip install 'ebpf-workbench[otlp]'",
        ) from error


def known(name: str) -> Signal:
    """Return a signal by name.

    Raises
    ------
    ExportError
        There is no signal of that name.
    """
    signal = SIGNALS.get(name)
    if signal is None:
        raise ExportError(f"OTLP has no signal {name!r}.", advice=f"Signals: {', '.join(SIGNALS)}")
    return signal


def items_of(message: Any, field: str) -> Any:
    """Return a repeated field on the way to the items; of a metric, that of its data.

    Raises
    ------
    AttributeError
        The message has no such field.
    """
    if field == "data_points":  # Metric has them in one of five messages
        kind = message.WhichOneof("data")
        return getattr(message, kind).data_points if kind else []
    return getattr(message, field)


def weigh(signal: str, item: Any) -> int:
    """Return how many items of a report an item's message is.

    A span, a data point and a log record is one. A sample of profiles stands for all that was
    seen with its stack: as many as it has times, or values (``profiles.proto``, ``Sample``).
    """
    if signal != "profiles":
        return 1
    return max(len(item.timestamps_unix_nano), len(item.values), 1)
