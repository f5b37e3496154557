"""The CPU profile's settings, as the object takes them."""

import pytest

from workbench.errors import ParameterError
from workbench.kinds import find

CPU = find("cpu")


@pytest.mark.parametrize("kernel", [True, False])
@pytest.mark.parametrize("user", [True, False])
def test_settings(kernel, user):
    parameters = CPU.check({"kernel_stacks": kernel, "user_stacks": user})
    assert CPU.settings(parameters, "aarch64") == {
        "kernel_stacks": int(kernel),
        "user_stacks": int(user),
        "python_stacks": 1,
    }


@pytest.mark.parametrize("hz", [0, -1, 10_001, "99", 99.0, True, None])
def test_rates_that_no_clock_has(hz):
    with pytest.raises(ParameterError, match="hz"):
        CPU.check({"hz": hz})


def test_its_clock_is_a_parameter():
    assert CPU.clock == "hz"
    assert CPU.check({})[CPU.clock] == 99
    assert CPU.stacks
    assert CPU.table({}) == "cpu"
