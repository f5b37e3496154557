"""Weights of sampled allocations, and the waiting times of the sampler."""

import numpy as np
import pytest

from workbench.event_texts import MEMORY_OPS
from workbench.kinds.memory import waits
from workbench.recorder.memory_source import weights

RECORD = np.dtype([("op", "u2"), ("size", "u8"), ("address", "u8"), ("born", "u8")])


def records(count, op="alloc", size=1000):
    made = np.zeros(count, RECORD)
    made["op"], made["size"] = MEMORY_OPS.index(op), size
    made["address"] = np.arange(count, dtype=np.uint64) * np.uint64(64)
    made["born"] = np.arange(count, dtype=np.uint64) * np.uint64(977)
    return made


@pytest.mark.parametrize("size", [1, 100, 4096, 60_000])
def test_weights_are_the_inverse_probability_on_average(size):
    exact = 1 / (1 - np.exp(-size / 5000))
    found = weights(records(20_000, size=size), 5000)
    assert set(found.tolist()) <= {int(exact), int(exact) + 1}
    assert found.mean() == pytest.approx(exact, rel=0.01)


def test_the_end_of_an_allocation_has_its_weight():
    begin, end = records(500, size=700), records(500, op="free", size=700)
    assert np.array_equal(weights(begin, 1000), weights(end, 1000))


def test_what_is_not_sampled_counts_once():
    assert set(weights(records(10), 0)) == {1}
    assert set(weights(records(10, op="map"), 1000)) == {1}


def test_waiting_times_have_the_exponential_distribution():
    found = waits() / 65536
    assert found.mean() == pytest.approx(1, abs=1e-4)
    assert np.all(np.diff(found) > 0)
    quantiles = -np.log1p(-(np.arange(1024) + 0.5) / 1024)
    assert found[:1000] == pytest.approx(quantiles[:1000], rel=0.01, abs=2**-15)


def test_the_sampler_sees_bytes_at_the_rate_that_is_asked_for():
    """The arithmetic of bpf/memory.bpf.c, in numpy: how many of many allocations are sampled."""
    rng = np.random.default_rng(1)
    sample_bytes, size, count = 5000, 700, 200_000
    left, seen = sample_bytes * rng.choice(waits()) / 65536, 0
    draws = sample_bytes * rng.choice(waits(), count) / 65536
    for draw in draws:
        left -= size
        if left <= 0:
            seen, left = seen + 1, draw
    assert seen / count == pytest.approx(1 - np.exp(-size / sample_bytes), rel=0.02)
