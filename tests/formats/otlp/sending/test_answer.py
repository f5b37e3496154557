"""Texts of receivers: which speak of size, and how they are shown."""

import pytest

from workbench.formats.otlp.sending.answer import shorten, speaks_of_size


@pytest.mark.parametrize(
    "text",
    [
        "SERVER: Received message larger than max (2027 vs. 1000)",  # gRPC's C core
        "grpc: received message larger than max (5000000 vs. 4194304)",  # Go
        "gRPC message exceeds maximum size 4194304: 5000000",  # Java
        "http: request body too large",  # Go's http.MaxBytesReader
        "Payload Too Large",
        "<title>413 Request Entity Too Large</title>",  # nginx
        "request body is too large",
    ],
)
def test_texts_of_size(text):
    assert speaks_of_size(text)


@pytest.mark.parametrize("text", ["", "quota used up", "too many requests", "bad size of trace id"])
def test_other_texts(text):
    assert not speaks_of_size(text)


def test_foreign_texts_are_one_short_line():
    assert shorten("  a\n\tb\x1b[31m\x00 c ") == "a b [31m c"
    assert shorten("x" * 400) == "x" * 299 + "…"
    assert shorten("x" * 300) == "x" * 300
