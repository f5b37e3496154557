from __future__ import annotations

import os

import pytest

from workbench.export_panel.receiver_form import ReceiverForm
from workbench.formats.otlp.sending.settings import Options

ALL = ("traces", "metrics", "logs", "profiles")


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


def form(**settings):
    calls = []
    return ReceiverForm(settings, lambda: calls.append(1)), calls


def shown(widget):
    """Everything that the page gets."""
    texts = [repr(widget.get_state())]
    texts += [shown(child) for child in getattr(widget, "children", ())]
    return " ".join(texts)


def test_what_is_empty_is_left_to_the_environment(monkeypatch):
    made, _ = form()
    assert made.options == {}
    assert made.signals == ALL
    assert made._endpoint.placeholder == "http://localhost:4318"
    made._protocol.value = "grpc"
    assert made.options == {"protocol": "grpc"}
    assert made._endpoint.placeholder == "http://localhost:4317"
    assert (made.modules, form()[0].modules) == (("grpc",), ("urllib3",))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://there:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "a=s3cret")
    made, _ = form()
    assert made._endpoint.placeholder == "http://there:1"
    assert "OTEL_EXPORTER_OTLP_HEADERS" in made._held.value
    assert "s3cret" not in shown(made.widget)


def test_settings_are_what_it_says():
    settings = {
        "endpoint": "https://x:4317",
        "protocol": "grpc",
        "compression": "gzip",
        "certificate": "ca.pem",
        "client_key": "k.pem",
        "client_certificate": "c.pem",
        "insecure": True,
        "headers": {"A": "s3cret"},
    }
    made, _ = form(signals=["logs"], **settings)
    assert made.options == settings | {"headers": {"a": "s3cret"}}
    Options(**made.options)
    assert made.signals == ("logs",)
    made._signals["traces"].value = True
    assert made.signals == ("traces", "logs")


def test_headers_are_taken_out_of_their_field():
    made, calls = form()
    made._entry.value = "api-key=s3cret,x=%C3%A9"
    assert made._entry.value == ""
    assert made.options == {}  # not printable ASCII
    assert "printable" in made._held.value
    made._entry.value = "Api-Key=s3cret,tenant=a%20b"
    assert made.options == {"headers": {"api-key": "s3cret", "tenant": "a b"}}
    assert made._held.value == "Kept, and not shown: api-key, tenant"
    assert calls
    made._entry.value = "nonsense"
    assert made.options["headers"]["tenant"] == "a b"
    assert "s3cret" not in shown(made.widget)
    made._forget.click()
    assert made.options == {}
    assert made._forget.layout.display == "none"
    made, _ = form(headers={"a b": "s3cret"})
    assert "no name of a header" in made._held.value
    assert "s3cret" not in shown(made.widget)
