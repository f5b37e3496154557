"""Tracepoints of tracefs, mounted or not."""

from pathlib import Path

import pytest

from workbench.errors import AttachError
from workbench.probe import support, tracefs

pytestmark = pytest.mark.kernel


def mounts():
    return Path("/proc/self/mounts").read_text()


def test_a_tracepoint_is_found_without_mounting_anything(monkeypatch):
    monkeypatch.setattr(support, "tracefs", lambda: None)
    before = mounts()
    number, text = tracefs.read("sched", "sched_switch")
    assert number > 0
    assert f"ID: {number}\n" in text
    assert "field:pid_t prev_pid;" in text
    assert mounts() == before


def test_a_mounted_one_is_used(monkeypatch, tmp_path):
    place = tmp_path / "events" / "a" / "b"
    place.mkdir(parents=True)
    (place / "id").write_text("7\n")
    (place / "format").write_text("name: b\n")
    monkeypatch.setattr(support, "tracefs", lambda: tmp_path)
    assert tracefs.read("a", "b") == (7, "name: b\n")


def test_without_the_privilege_it_says_how(monkeypatch):
    monkeypatch.setattr(support, "tracefs", lambda: None)
    monkeypatch.setattr(tracefs, "_open_detached", lambda: (-1, "Operation not permitted"))
    with pytest.raises(AttachError) as caught:
        tracefs.read("sched", "sched_switch")
    assert "not mounted" in caught.value.why
    assert "mount -t tracefs" in caught.value.advice


@pytest.mark.parametrize(
    ("category", "name", "found"),
    [
        ("sched", "sched_swich", "sched:sched_switch"),
        ("shed", "nothing", "sched"),
        ("irq", "sched_switch", "sched:sched_switch"),
        ("..", "events", "sched"),
        ("sched", "../sched/sched_switch", "sched"),
        ("", "", "sched"),
    ],
)
def test_wrong_names(category, name, found):
    with pytest.raises(AttachError, match="no tracepoint") as caught:
        tracefs.read(category, name)
    assert found in caught.value.advice
