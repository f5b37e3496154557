"""Endpoints: the examples of the specification, and what is refused."""

import pytest

from workbench.errors import DestinationError
from workbench.formats.otlp.sending.urls import grpc_target, http_url


@pytest.mark.parametrize(
    ("endpoint", "path", "url"),
    [
        # The examples of specification/protocol/exporter.md.
        ("http://collector:4318", "v1/traces", "http://collector:4318/v1/traces"),
        ("http://collector:4318", "", "http://collector:4318/"),
        ("https://c.example.com/v1/metrics", "", "https://c.example.com/v1/metrics"),
        ("https://c.example.com/v1/metrics/", "", "https://c.example.com/v1/metrics/"),
        ("http://c:4318/mycollector/", "v1/logs", "http://c:4318/mycollector/v1/logs"),
        ("http://c:4318/mycollector", "v1/logs", "http://c:4318/mycollector/v1/logs"),
        ("http://[::1]:4318", "v1/traces", "http://[::1]:4318/v1/traces"),
        ("https://c/otlp?key=1", "v1/traces", "https://c/otlp/v1/traces?key=1"),
        ("HTTP://c:4318/#there", "", "http://c:4318/"),
    ],
)
def test_http(endpoint, path, url):
    assert http_url(endpoint, path) == url


@pytest.mark.parametrize(
    "endpoint",
    [
        "collector:4318",
        "ftp://collector",
        "http://",
        "http:///path",
        "http://host:0",
        "http://host:99999",
        "http://host:port",
        "http://[::1",
        "http://a b:4318",
        " http://a",
    ],
)
def test_http_refuses(endpoint):
    with pytest.raises(DestinationError):
        http_url(endpoint, "v1/traces")


def test_passwords_are_not_dropped_silently_nor_shown():
    with pytest.raises(DestinationError) as caught:
        http_url("http://me:secret@host", "")
    assert "secret" not in str(caught.value)
    assert "Authorization" in caught.value.advice


@pytest.mark.parametrize(
    ("endpoint", "insecure", "target", "secure"),
    [
        ("http://localhost:4317", False, "localhost:4317", False),
        ("http://localhost:4317/", False, "localhost:4317", False),
        ("https://localhost:4317", True, "localhost:4317", True),  # the scheme takes precedence
        ("https://otlp.example.com", False, "otlp.example.com:443", True),
        ("http://otlp.example.com", False, "otlp.example.com:80", False),
        ("http://[::1]:4317", False, "[::1]:4317", False),
        ("collector:4317", False, "collector:4317", True),
        ("collector:4317", True, "collector:4317", False),
        ("dns:///collector:4317", True, "dns:///collector:4317", False),
        ("ipv6:[::1]:4317", False, "ipv6:[::1]:4317", True),
        ("unix:/run/otlp.sock", False, "unix:/run/otlp.sock", False),
        ("unix:///run/otlp.sock", False, "unix:///run/otlp.sock", False),
    ],
)
def test_grpc(endpoint, insecure, target, secure):
    assert grpc_target(endpoint, insecure, trusting=False) == (target, secure)


def test_a_unix_socket_with_a_certificate_is_secure():
    assert grpc_target("unix:/run/otlp.sock", False, trusting=True)[1]


@pytest.mark.parametrize("endpoint", ["http://c:4317/v1/traces", "ftp://c", "", "a b", "http://"])
def test_grpc_refuses(endpoint):
    with pytest.raises(DestinationError):
        grpc_target(endpoint, False, trusting=False)
