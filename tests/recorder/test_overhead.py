"""What a capture costs: statistics that are on for a tenth of the time, and their figures."""

import os
from types import SimpleNamespace

import pytest

from workbench.recorder import overhead as module
from workbench.recorder.overhead import PERIOD_NS, WINDOW_NS, Overhead


class Clock:
    """Time that passes when it is told to, and a kernel that gives descriptors."""

    def __init__(self, patch):
        self.now, self.opened, self.fails = 0, 0, 0
        patch.setattr(module.time, "monotonic_ns", lambda: self.now)
        patch.setattr(module, "lib", lambda: SimpleNamespace(bpf_enable_stats=self.enable))

    def enable(self, _kind):
        self.opened += 1
        return self.fails or os.open("/dev/null", os.O_RDONLY)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_sampled_is_on_for_a_tenth_of_the_time(clock):
    cost = Overhead("sampled")
    for _ in range(10_000):
        clock.now += 1_000_000
        cost.tick()
    assert cost.sampled_ns == pytest.approx(clock.now / 10, rel=0.1)
    assert clock.opened == pytest.approx(clock.now / PERIOD_NS, abs=1)
    cost.close()
    cost.close()
    done = cost.sampled_ns
    clock.now += PERIOD_NS
    assert cost.sampled_ns == done


def test_always(clock):
    cost = Overhead("always")
    for _ in range(100):
        clock.now += WINDOW_NS
        cost.tick()
    assert cost.sampled_ns == clock.now
    assert clock.opened == 1
    cost.close()
    assert cost.sampled_ns == clock.now


def test_off(clock):
    cost = Overhead("off")
    clock.now += PERIOD_NS
    cost.tick()
    cost.close()
    assert (cost.sampled_ns, clock.opened) == (0, 0)


def test_where_it_is_not_permitted_it_is_off_and_says_so(clock):
    clock.fails = -1
    cost = Overhead("sampled")
    clock.now += 5 * PERIOD_NS
    cost.tick()
    assert "permitted" in cost.unavailable
    assert (cost.sampled_ns, clock.opened) == (0, 1)
    cost.close()


def test_figures_of_programs(clock, monkeypatch):
    infos = {1: {"run_cnt": 100, "run_time_ns": 5000}, 2: {}, 3: {"run_cnt": 0, "run_time_ns": 0}}
    monkeypatch.setattr(module, "program_info", infos.get)
    programs = {str(fd): SimpleNamespace(name=f"p{fd}", fd=fd) for fd in infos}
    source = SimpleNamespace(kind="cpu", object=SimpleNamespace(programs=programs))
    cost = Overhead("always")
    clock.now += 100_000
    rows = cost.programs([source])
    cost.close()
    assert rows[0] == {
        "kind": "cpu",
        "program": "p1",
        "run_count": 100,
        "run_time_ns": 5000,
        "sampled_ns": 100_000,
        "ns_per_run": 50.0,
        "cpu_share": 0.05,
    }
    assert [row["ns_per_run"] for row in rows[1:]] == [0.0, 0.0]
    assert Overhead("off").programs([source])[0]["cpu_share"] == 0.0


def test_the_recorders_own_use():
    cost = Overhead("off")
    sum(range(200_000))
    used = cost.recorder()
    assert used["cpu_ns"] > 0
    assert used["wall_ns"] > 0
    assert 10 << 20 < used["max_rss_bytes"] < 64 << 30
