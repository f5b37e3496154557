"""What answers of HTTP mean."""

import json

import pytest
from google.rpc.status_pb2 import Status

from workbench.formats.otlp.sending.answer import Verdict
from workbench.formats.otlp.sending.http_answers import JSON, PROTOBUF, answered
from workbench.formats.otlp.sending.retry import HTTP_RETRYABLE
from workbench.formats.otlp.signals import SIGNALS

TRACES = SIGNALS["traces"]


def answer(status, content=b"", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return answered(TRACES, status, named, content, now=1445412480.0 - 60)


def test_only_the_retryable_are_retried():
    for status in range(300, 600):
        expected = Verdict.RETRY if status in HTTP_RETRYABLE else Verdict.REFUSED
        assert answer(status).verdict is (Verdict.TOO_LARGE if status == 413 else expected)
        assert str(status) in answer(status).why


@pytest.mark.parametrize("status", [200, 202, 204])
def test_success(status):
    assert answer(status).verdict is Verdict.TAKEN
    assert answer(status, content_type="text/plain").verdict is Verdict.TAKEN


@pytest.mark.parametrize("kind", [PROTOBUF, JSON, JSON + "; charset=utf-8"])
def test_partial_success(kind):
    message = TRACES.response()()
    message.partial_success.rejected_spans = 3
    message.partial_success.error_message = "too old"
    content = message.SerializeToString()
    if kind.startswith(JSON):
        told = {"rejectedSpans": "3", "errorMessage": "too old", "newField": 1}
        content = json.dumps({"partialSuccess": told}).encode()
    got = answer(200, content, content_type=kind)
    assert (got.verdict, got.rejected, got.message) == (Verdict.TAKEN, 3, "too old")


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("text/html", b"<html>Welcome to the hotel's network</html>"),
        ("", b"ok"),
        (PROTOBUF, b"\x0a\xff"),
        (JSON, b"{"),
        (JSON, b"[" * 500_000),
        (JSON, b"\xff"),
    ],
)
def test_success_that_is_none_of_otlp(kind, content):
    got = answer(200, content, content_type=kind)
    assert got.verdict is Verdict.REFUSED
    assert got.hopeless
    assert got.lost  # whoever says 2xx may have it
    assert "no answer of OTLP" in got.why


ENVOY = "upstream connect error or disconnect/reset before headers. reset reason: "


@pytest.mark.parametrize(
    ("status", "text", "lost"),
    [
        (502, "", True),
        (504, "", True),
        (503, "", False),
        (429, "", False),
        (503, ENVOY + "connection termination", True),
        (503, ENVOY + "remote connection failure, transport failure reason: x", False),
        (503, ENVOY + "overflow", False),
    ],
)
def test_what_stands_between_may_have_handed_it_on(status, text, lost):
    got = answer(status, text.encode(), content_type="text/plain")
    assert (got.verdict, got.lost) == (Verdict.RETRY, lost)


def test_waits():
    assert answer(503, retry_after="7").wait == 7
    assert answer(429, retry_after="Wed, 21 Oct 2015 07:28:00 GMT").wait == 60
    assert answer(429).wait is None


@pytest.mark.parametrize(
    ("kind", "content", "text"),
    [
        (PROTOBUF, Status(code=3, message="bad trace id").SerializeToString(), "bad trace id"),
        (JSON, b'{"code":3,"message":"bad trace id","details":[]}', "bad trace id"),
        (JSON, b"not json", "not json"),
        (PROTOBUF, b"\xff\xff", "\ufffd\ufffd"),
        ("text/plain", b"bad\ntrace", "bad trace"),
        ("text/plain", b"x" * 10**6, "x" * 50),
        (JSON, b"[" * 500_000, "[" * 50),
    ],
)
def test_messages_of_failures(kind, content, text):
    why = answer(400, content, content_type=kind).why
    assert why.startswith(f"HTTP 400 Bad Request: {text}")
    assert len(why) < 400


def test_too_large():
    assert answer(413).sized
    got = answer(400, b"http: request body too large", content_type="text/plain")
    assert (got.verdict, got.sized) == (Verdict.TOO_LARGE, True)


def test_hopeless_ones_say_what_to_do():
    for status in (401, 403, 404, 405, 415):
        assert answer(status).hopeless
        assert answer(status).advice
    assert not answer(400).hopeless
    moved = answer(308, location="https://there/")
    assert moved.hopeless
    assert "https://there/" in moved.why
    assert "no status of HTTP" in answer(599).why
