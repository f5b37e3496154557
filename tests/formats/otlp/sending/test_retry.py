"""When to send again: the lists of the specification, waits, Retry-After."""

import random
import threading

import grpc
import pytest

from workbench.formats.otlp.sending.retry import (
    GRPC_RETRYABLE,
    HTTP_RETRYABLE,
    Clock,
    Retry,
    retry_after,
)


def test_the_lists_are_those_of_the_specification():
    assert {429, 502, 503, 504} == HTTP_RETRYABLE
    final = {
        "OK",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "UNAUTHENTICATED",
        "RESOURCE_EXHAUSTED",  # with RetryInfo only
        "FAILED_PRECONDITION",
        "UNIMPLEMENTED",
        "INTERNAL",
    }
    assert {code.name for code in grpc.StatusCode} - final == GRPC_RETRYABLE


def test_waits_grow_up_to_a_limit_and_vary():
    retry = Retry(initial=1, factor=2, maximum=30, random=random.Random(1))
    for attempt, longest in enumerate([1, 2, 4, 8, 16, 30, 30]):
        waits = [retry.delay(attempt) for _ in range(200)]
        assert all(longest / 2 <= wait <= longest for wait in waits)
        assert max(waits) - min(waits) > longest / 4
    assert retry.delay(10**9) <= 30


def test_the_wish_of_a_receiver_is_kept():
    retry = Retry()
    waits = [retry.delay(0, 120.0) for _ in range(100)]
    assert all(120 <= wait <= 132 for wait in waits)
    assert 0.5 <= retry.delay(0, 0.0) <= 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("120", 120.0),
        (" 0 ", 0.0),
        ("-5", None),
        ("soon", None),
        ("1.5", None),
        ("٣", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 60.0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 60.0),
        ("Wednesday, 21-Oct-15 07:28:00 GMT", 60.0),  # RFC 850, which is to be understood
        ("Wed, 21 Oct 2015 07:00:00 GMT", 0.0),
        ("Wed, 99 Oct 2015 07:00:00 GMT", None),
    ],
)
def test_retry_after(value, seconds):
    assert retry_after(value, now=1445412480.0 - 60) == seconds


def test_an_absurd_wait_is_a_number():
    assert retry_after("9" * 5000, 0.0) == 999_999_999_999.0


def test_the_clock_stops_waiting_when_told():
    clock, stop = Clock(), threading.Event()
    assert not clock.wait(0, stop)
    stop.set()
    before = clock.now()
    assert clock.wait(60, stop)
    assert clock.now() - before < 30
    assert clock.wall() > 1.7e9
