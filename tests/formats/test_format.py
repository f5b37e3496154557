from __future__ import annotations

import pytest

from workbench.formats.format import Format


def test_a_format_is_a_value():
    one = Format("x", ".x", "nothing", print)
    assert one == Format("x", ".x", "nothing", print)
    with pytest.raises(AttributeError):
        one.name = "y"
