"""Where OTLP is sent, and how."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets

from workbench.errors import DestinationError
from workbench.export_panel.look import field, note, show
from workbench.exporting import HEADERS
from workbench.formats.otlp.sending.headers import checked, parse
from workbench.formats.otlp.sending.settings import COMPRESSIONS, DEFAULT_ENDPOINTS, PROTOCOLS
from workbench.formats.otlp.signals import SIGNALS
from workbench.views.html import escape

_FILES = {
    "certificate": "Trust",
    "client_key": "Own key",
    "client_certificate": "Own cert.",
}
_UNSAID = "from the environment, else "


class ReceiverForm:
    """Widgets for a receiver; what is left empty comes from ``OTEL_EXPORTER_OTLP_*``.

    Headers tend to be secret. They are taken out of their field as soon as they are there, so
    that neither the page nor a saved notebook holds them; only their names are shown.

    Parameters
    ----------
    settings : mapping
        What is there at first: ``endpoint``, ``protocol``, ``headers``, ``signals``, ...
    changed : callable
        Called when something was changed.
    """

    def __init__(self, settings: Mapping[str, Any], changed: Callable[[], object]) -> None:
        self._changed = changed
        self._headers: dict[str, str] = {}
        self._endpoint = field(ipywidgets.Text, "Endpoint", value=settings.get("endpoint") or "")
        self._protocol = self._choice("Protocol", settings, "protocol", PROTOCOLS, PROTOCOLS[1])
        self._compression = self._choice(
            "Compression", settings, "compression", COMPRESSIONS, COMPRESSIONS[0]
        )
        chosen = tuple(settings.get("signals") or SIGNALS)
        self._signals = {
            name: ipywidgets.Checkbox(
                name in chosen, description=name, indent=False,
                layout=ipywidgets.Layout(width="auto"),
            )
            for name in SIGNALS
        }  # fmt: skip
        self._insecure = ipywidgets.Checkbox(
            bool(settings.get("insecure")), description="gRPC without TLS", indent=False
        )
        self._files = {
            name: field(
                ipywidgets.Text, label, value=str(settings.get(name) or ""), placeholder="PEM file"
            )
            for name, label in _FILES.items()
        }
        self._entry = field(
            ipywidgets.Password, "Headers", placeholder="name=value,name=value",
            continuous_update=False,
        )  # fmt: skip
        self._forget = ipywidgets.Button(description="Forget headers")
        self._forget.add_class("wb-export-forget")
        self._held = note()
        self._take(settings.get("headers") or "")
        self.widget = self._arranged()
        self._observe()

    @property
    def options(self) -> dict[str, Any]:
        """Options of :func:`~workbench.formats.otlp.sending.send.send` but for its defaults."""
        found = {
            "endpoint": self._endpoint.value.strip(),
            "protocol": self._protocol.value,
            "headers": dict(self._headers),
            "compression": self._compression.value,
            **{name: widget.value.strip() for name, widget in self._files.items()},
            "insecure": self._insecure.value,
        }
        return {name: value for name, value in found.items() if value}

    @property
    def signals(self) -> tuple[str, ...]:
        """What is sent."""
        return tuple(name for name, box in self._signals.items() if box.value)

    @property
    def modules(self) -> tuple[str, ...]:
        """Modules that the protocol needs."""
        return ("grpc",) if self._protocol.value == "grpc" else ("urllib3",)

    def _choice(
        self, label: str, settings: Mapping[str, Any], name: str, values: tuple[str, ...], own: str
    ) -> Any:
        options = [(_UNSAID + own, ""), *((value, value) for value in values)]
        return field(ipywidgets.Dropdown, label, options=options, value=settings.get(name) or "")

    def _arranged(self) -> Any:
        label = ipywidgets.HTML("Signals", layout=ipywidgets.Layout(width="92px"))
        label.add_class("wb-export-label")
        signals = ipywidgets.HBox([label, *self._signals.values()])
        signals.add_class("wb-export-signals")
        more = ipywidgets.VBox([self._compression, *self._files.values(), self._insecure])
        folded = ipywidgets.Accordion([more], titles=("More: compression, TLS",))
        folded.selected_index = None
        return ipywidgets.VBox(
            [self._endpoint, self._protocol, signals, self._entry, self._held, self._forget, folded]
        )

    def _observe(self) -> None:
        plain = [self._endpoint, self._protocol, self._compression, self._insecure]
        for widget in (*plain, *self._signals.values(), *self._files.values()):
            widget.observe(self._tell, "value")
        self._entry.observe(lambda change: self._take(change.new), "value")
        self._forget.on_click(lambda _: self._keep({}))
        self._hint()

    def _tell(self, _: object) -> None:
        self._hint()
        self._changed()

    def _hint(self) -> None:
        """Show in the empty field where it would go."""
        protocol = self._protocol.value or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "")
        usual = DEFAULT_ENDPOINTS["grpc" if protocol == "grpc" else "http"]
        self._endpoint.placeholder = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or usual

    def _take(self, given: str | Mapping[str, str]) -> None:
        """Take headers out of their field."""
        if not given:
            self._show()
            return
        self._entry.value = ""
        try:
            self._keep(parse(given) if isinstance(given, str) else checked(given))
        except DestinationError as error:
            self._show(f"{error.what} {error.advice}")

    def _keep(self, headers: dict[str, str]) -> None:
        self._headers = headers
        self._show()
        self._changed()

    def _show(self, trouble: str = "") -> None:
        text = ""
        if trouble:
            text = f'<span role="alert">{escape(trouble)} The headers are as they were.</span>'
        elif self._headers:
            text = f"Kept, and not shown: {escape(', '.join(self._headers))}"
        elif os.environ.get(HEADERS):
            text = f"Those of {HEADERS}."
        self._held.value = text
        show(self._held, bool(text))
        show(self._forget, bool(self._headers))
