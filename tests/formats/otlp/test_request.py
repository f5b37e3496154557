"""A request is a value."""

import dataclasses

import pytest

from workbench.formats.otlp.request import Request


def test_a_request_is_a_value():
    assert Request("traces", 1, b"a") == Request("traces", 1, b"a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        Request("traces", 1, b"a").items = 2
