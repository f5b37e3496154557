"""Certificates for all tests of OTLP, and an environment that says nothing of it."""

import os

import pytest
from otlp_certificates import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    made = Authority(tmp_path_factory.mktemp("tls") / "ours")
    made.issue("server")
    made.issue("client")
    made.issue("elsewhere", "otlp.example.com")
    return made


@pytest.fixture(scope="session")
def stranger(tmp_path_factory):
    made = Authority(tmp_path_factory.mktemp("tls") / "theirs")
    made.issue("server")
    made.issue("client")
    return made


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
