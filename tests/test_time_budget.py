"""Seconds that are earned, saved up and spent."""

import pytest

from workbench.time_budget import TimeBudget


@pytest.fixture
def clock():
    class Clock:
        now = 1000.0

        def __call__(self):
            return self.now

    return Clock()


def test_it_begins_full_and_earns_its_share(clock):
    budget = TimeBudget(share=0.25, burst_s=2.0, clock=clock)
    assert budget.left == 2.0
    budget.spend(2.0)
    assert budget.left == 0
    clock.now += 4
    assert budget.left == 1.0
    assert budget.left == 1.0  # asking costs and earns nothing


def test_it_saves_no_more_than_a_burst(clock):
    budget = TimeBudget(share=0.25, burst_s=2.0, clock=clock)
    clock.now += 1000
    assert budget.left == 2.0


def test_what_took_too_long_is_paid_back_first(clock):
    budget = TimeBudget(share=0.5, burst_s=1.0, clock=clock)
    budget.spend(3.0)
    assert budget.left == -2.0
    clock.now += 4
    assert budget.left == 0
    clock.now += 1
    assert budget.left == 0.5


def test_seconds_of_the_machine():
    budget = TimeBudget(share=0.5, burst_s=1.0)
    budget.spend(1000.0)
    first = budget.left
    assert -999.0 <= first < 0
    assert budget.left >= first
