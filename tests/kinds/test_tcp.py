"""The settings of the kind tcp."""

import pytest

from workbench.errors import ParameterError
from workbench.kinds import find

TCP = find("tcp")


@pytest.mark.parametrize(
    ("machine", "accept", "accept4"), [("x86_64", 43, 288), ("aarch64", 202, 242)]
)
def test_settings(machine, accept, accept4):
    settings = TCP.settings(TCP.check({"sample_ms": 5, "states": False}), machine)
    assert settings == {
        "sample_ns": 5_000_000,
        "states": 0,
        "aggregate": 0,
        "nr_accept": accept,
        "nr_accept4": accept4,
    }


def test_counts_have_no_changes_of_state():
    settings = TCP.settings(TCP.check({"aggregate": True}), "x86_64")
    assert (settings["aggregate"], settings["states"]) == (1, 0)


@pytest.mark.parametrize("value", [-1, 1.5, "1", 10**6 + 1])
def test_intervals_that_make_no_sense(value):
    with pytest.raises(ParameterError, match="sample_ms"):
        TCP.check({"sample_ms": value})
