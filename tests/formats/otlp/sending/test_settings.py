"""Arguments, the environment and defaults, in this order."""

import pytest

from workbench.errors import DestinationError
from workbench.formats.otlp.sending.settings import Options, resolve
from workbench.formats.otlp.signals import SIGNALS

TRACES, METRICS, PROFILES = SIGNALS["traces"], SIGNALS["metrics"], SIGNALS["profiles"]


def settle(signal=TRACES, environ=(), **options):
    return resolve(
        signal,
        Options(**options),
        {f"OTEL_EXPORTER_OTLP_{name}": value for name, value in dict(environ).items()},
    )


def test_defaults_are_those_of_the_specification():
    got = settle()
    assert (got.protocol, got.url) == ("http/protobuf", "http://localhost:4318/v1/traces")
    assert (got.headers, got.gzip, got.timeout, got.secure) == ({}, False, 10.0, False)
    assert settle(PROFILES).url == "http://localhost:4318/v1development/profiles"
    got = settle(protocol="grpc")
    assert (got.url, got.secure) == ("localhost:4317", False)


def test_the_common_endpoint_is_a_base_and_that_of_a_signal_is_taken_as_it_is():
    environ = {"ENDPOINT": "http://c:4318/my/", "METRICS_ENDPOINT": "https://m.example.com"}
    assert settle(TRACES, environ).url == "http://c:4318/my/v1/traces"
    assert settle(METRICS, environ).url == "https://m.example.com/"
    assert settle(METRICS, environ).secure
    assert settle(METRICS, environ, endpoint="http://x:1").url == "http://x:1/v1/metrics"
    environ = {"PROTOCOL": "grpc", "PROFILES_ENDPOINT": "https://p:1"}
    assert settle(PROFILES, environ).url == "p:1"


@pytest.mark.parametrize(
    ("name", "common", "own", "field", "expected"),
    [
        ("PROTOCOL", "grpc", "http/json", "protocol", "http/json"),
        ("COMPRESSION", "gzip", "none", "gzip", False),
        ("COMPRESSION", "none", "GZIP", "gzip", True),
        ("TIMEOUT", "5000", "250", "timeout", 0.25),
        ("TIMEOUT", "5000", "0", "timeout", None),
        ("HEADERS", "a=1", "b=%20", "headers", {"b": " "}),
    ],
)
def test_a_signal_overrides_what_is_common(name, common, own, field, expected):
    environ = {name: common, f"TRACES_{name}": own}
    assert getattr(settle(TRACES, environ), field) == expected
    assert getattr(settle(METRICS, environ), field) != expected
    # An empty variable is none.
    kept = getattr(settle(TRACES, {name: common, f"TRACES_{name}": " "}), field)
    assert kept == getattr(settle(METRICS, environ), field)


def test_arguments_override_the_environment():
    environ = {
        "PROTOCOL": "grpc",
        "COMPRESSION": "gzip",
        "TIMEOUT": "1",
        "HEADERS": "a=1",
        "TRACES_HEADERS": "a=2",
    }
    got = settle(
        TRACES, environ, protocol="http/json", compression="none", timeout=3, headers={"B": "3"}
    )
    assert (got.protocol, got.gzip, got.timeout, got.headers) == ("http/json", False, 3, {"b": "3"})
    assert settle(TRACES, environ, headers="c=4").headers == {"c": "4"}
    assert settle(TRACES, environ, headers={}).headers == {}
    assert settle(timeout=0).timeout is None


@pytest.mark.parametrize(
    ("environ", "options", "secure"),
    [
        ({}, {}, True),
        ({"INSECURE": "true"}, {}, False),
        ({"INSECURE": "TRUE", "TRACES_INSECURE": "false"}, {}, True),
        ({"INSECURE": "yes"}, {}, True),  # a Boolean is true when it is "true", else false
        ({"INSECURE": "true"}, {"insecure": False}, True),
        ({}, {"insecure": True}, False),
    ],
)
def test_insecure_counts_without_a_scheme(environ, options, secure):
    got = settle(TRACES, environ, protocol="grpc", endpoint="c:4317", **options)
    assert got.secure is secure


def test_files_are_looked_for(tmp_path):
    file = tmp_path / "a.pem"
    file.write_text("")
    names = {"CERTIFICATE": file, "CLIENT_KEY": file, "TRACES_CLIENT_CERTIFICATE": file}
    got = settle(TRACES, {name: str(value) for name, value in names.items()})
    assert got.certificate == got.client_key == got.client_certificate == file
    assert settle(METRICS, {"TRACES_CERTIFICATE": str(file)}).certificate is None
    with pytest.raises(DestinationError, match=r"none\.pem cannot be read"):
        settle(certificate=tmp_path / "none.pem")


@pytest.mark.parametrize(
    ("environ", "options"),
    [
        ({"PROTOCOL": "http"}, {}),
        ({"COMPRESSION": "zstd"}, {}),
        ({"TIMEOUT": "1.5"}, {}),
        ({"TIMEOUT": "-1"}, {}),
        ({}, {"timeout": float("nan")}),
        ({}, {"timeout": float("inf")}),
        ({"HEADERS": "novalue"}, {}),
        ({"ENDPOINT": "localhost:4318"}, {}),
    ],
)
def test_what_has_no_meaning_is_refused(environ, options):
    with pytest.raises(DestinationError):
        settle(TRACES, environ, **options)


def test_the_process_environment_is_the_default(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://there:1")
    assert resolve(TRACES, Options()).url == "http://there:1/v1/traces"


def test_headers_are_not_shown():
    assert "secret" not in repr(settle(headers={"authorization": "secret"}))
