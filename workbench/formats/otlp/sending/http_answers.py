"""What answers of HTTP mean for a request of OTLP."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status

from workbench.formats.otlp.sending.answer import Answer, Verdict, shorten, speaks_of_size
from workbench.formats.otlp.sending.partial import partial_success
from workbench.formats.otlp.sending.retry import HTTP_RETRYABLE, retry_after
from workbench.formats.otlp.signals import Signal

PROTOBUF = "application/x-protobuf"
JSON = "application/json"

# Deep nesting of brackets ends Python's recursion.
_UNREADABLE = (DecodeError, json_format.ParseError, ValueError, RecursionError)

# Every request of a signal will be answered like this: who one is and where it goes is the same.
_HOPELESS = {401, 403, 404, 405, 407, 415, 501}

# What stands between may have handed the request on, and not have got the answer (RFC 9110,
# sections 15.6.3 and 15.6.5; Envoy says 503 and why, in envoy/http/codec.h).
_BETWEEN = {502, 504}
_RESET = re.compile(r"reset before headers(?!.*(connection failure|overflow))", re.IGNORECASE)

_ADVICE = {
    400: "The receiver cannot read the request: is it one of OTLP, and of this version?",
    401: "Give the key of the service: headers='authorization=Bearer%20...'.",
    403: "The credentials in headers do not permit it.",
    404: "The receiver does not know the path: check the base URL, and that it takes this signal.",
    405: "Something else listens there: check host, port and path.",
    415: "Use protocol='http/protobuf' or 'http/json', whichever the receiver takes.",
}


def answered(
    signal: Signal, status: int, headers: Mapping[str, str], content: bytes, now: float
) -> Answer:
    """Tell what an answer means for the request.

    Parameters
    ----------
    signal : Signal
        What was sent.
    status : int
        Of HTTP.
    headers : mapping
        Of the answer; it does not matter how names are written.
    content : bytes
        The answer's body.
    now : float
        Seconds since 1970, for a ``Retry-After`` that is a date.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if status // 100 == 2:
        return _success(signal, status, kind, content)
    message = _message(kind, content)
    why = f"{status} {_phrase(status)}" + (f": {message}" if message else "")
    if status in HTTP_RETRYABLE:
        wait = retry_after(headers.get("retry-after"), now)
        lost = status in _BETWEEN or (status == 503 and _RESET.search(message) is not None)
        return Answer(Verdict.RETRY, f"HTTP {why}", wait=wait, lost=lost)
    # The collector of OpenTelemetry answers 400 where Go's reader of limited size gives up.
    sized = status == 413 or (status == 400 and speaks_of_size(message))
    if sized:
        return Answer(Verdict.TOO_LARGE, f"HTTP {why}", advice="Make smaller requests.", sized=True)
    if 300 <= status < 400:
        why += f" (to {shorten(headers.get('location', 'nowhere'))})"
    advice = _ADVICE.get(status, "")
    return Answer(
        Verdict.REFUSED,
        f"HTTP {why}",
        advice=advice,
        hopeless=status in _HOPELESS or status // 100 == 3,
    )


def _success(signal: Signal, status: int, kind: str, content: bytes) -> Answer:
    """Read a partial success; a page in HTML is no success of OTLP, whatever its status."""
    answer = signal.response()()
    try:
        if kind == JSON:
            json_format.Parse(content or b"{}", answer, ignore_unknown_fields=True)
        elif kind == PROTOBUF or not content:
            answer.ParseFromString(content)
        else:
            return _foreign(status, f"content of type {kind or 'unknown'}")
    except _UNREADABLE as error:
        return _foreign(status, str(error))
    rejected, message = partial_success(signal, answer)
    return Answer(Verdict.TAKEN, rejected=rejected, message=message)


def _foreign(status: int, why: str) -> Answer:
    return Answer(
        Verdict.REFUSED,
        f"HTTP {status}, but no answer of OTLP: {shorten(why)}",
        advice="Something else listens there: check host, port and path.",
        hopeless=True,
        lost=True,  # whoever says 2xx may have taken it
    )


def _message(kind: str, content: bytes) -> str:
    """Return the message of a failure: a ``google.rpc.Status``, or what else was answered."""
    status = Status()
    try:
        if kind == PROTOBUF:
            status.ParseFromString(content)
            return shorten(status.message)
        if kind == JSON:
            json_format.Parse(content, status, ignore_unknown_fields=True)
            return shorten(status.message)
    except _UNREADABLE:
        pass  # then as text
    return shorten(content[:2000].decode(errors="replace"))


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "(no status of HTTP)"
