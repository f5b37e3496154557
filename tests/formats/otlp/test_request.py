"""What is sent at once."""

import pytest

from workbench.formats.otlp.request import Request


def test_a_request_is_a_value():
    request = Request("traces", 2, b"x")
    assert request == Request("traces", 2, b"x") != Request("traces", 3, b"x")
    with pytest.raises(AttributeError):
        request.items = 3
