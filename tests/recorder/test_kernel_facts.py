"""What objects ask of the kernel, and what its BTF says."""

import pytest

from workbench.recorder import kernel_facts as facts
from workbench.recorder.kernel_facts import kernel_facts


def test_only_what_is_asked_for(monkeypatch):
    monkeypatch.setattr(facts, "argument_count", lambda _name: 4)
    monkeypatch.setattr(facts, "per_cpu_offsets", lambda *_names: {})
    assert kernel_facts({"wb_self"}) == {}
    assert kernel_facts({"state_argument"}) == {"state_argument": 1}
    assert kernel_facts({"count_from_runqueue"}) == {"count_from_runqueue": 0}


@pytest.mark.parametrize(
    ("offsets", "distance"),
    [
        ({"runqueues": 100, "__preempt_count": 40}, -60),
        ({"runqueues": 100, "pcpu_hot": 140}, 40),  # Linux 6.2 to 6.14
        ({"runqueues": 100}, 0),
        ({"__preempt_count": 40}, 0),
    ],
)
def test_distance_of_per_cpu_variables(monkeypatch, offsets, distance):
    monkeypatch.setattr(facts, "per_cpu_offsets", lambda *_names: offsets)
    assert kernel_facts({"count_from_runqueue"}) == {"count_from_runqueue": distance}


def test_older_kernels_do_not_tell_the_state(monkeypatch):
    monkeypatch.setattr(facts, "argument_count", lambda _name: 3)
    assert kernel_facts({"state_argument"}) == {"state_argument": 0}
