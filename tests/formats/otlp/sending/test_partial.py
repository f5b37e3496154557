"""Partial success: read, and counted in items."""

import pytest
from otlp_messages import MAKERS, items, profiles

from workbench.formats.otlp.request import Request
from workbench.formats.otlp.sending.partial import partial_success, rejected_items
from workbench.formats.otlp.signals import SIGNALS


@pytest.mark.parametrize("signal", SIGNALS.values(), ids=SIGNALS)
def test_reading(signal):
    answer = signal.response()()
    assert partial_success(signal, answer) == (0, "")
    setattr(answer.partial_success, signal.rejected, 7)
    answer.partial_success.error_message = "too\nold"
    assert partial_success(signal, answer) == (7, "too old")
    setattr(answer.partial_success, signal.rejected, -7)
    assert partial_success(signal, answer) == (0, "too old")


@pytest.mark.parametrize("name", ["traces", "metrics", "logs"])
def test_items_are_counted_as_receivers_do(name):
    request = MAKERS[name](0, 10)
    assert [rejected_items(request, n) for n in (0, 3, 10, 11)] == [0, 3, 10, 10]


def test_of_profiles_the_largest_are_taken():
    request = profiles(0, 12, each=5)  # profiles of 5, 5 and 2 samples
    assert [rejected_items(request, n) for n in (0, 1, 2, 3, 9)] == [0, 5, 10, 12, 12]
    message = SIGNALS["profiles"].request().FromString(request.body)
    items("profiles", message)[11].timestamps_unix_nano.extend(range(9))
    seen = Request("profiles", 21, message.SerializeToString())
    assert [rejected_items(seen, n) for n in (1, 2, 3)] == [11, 16, 21]
    fewer = Request("profiles", 3, request.body)
    assert rejected_items(fewer, 1) == 3
