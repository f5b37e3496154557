"""Which profiles there are."""

from otlp_sessions import synthetic, written

from workbench.formats.otlp.profiles.profile_types import profile_types


def test_kinds_with_stacks(tmp_path):
    rec = synthetic(tmp_path, 10)
    assert [each.name for each in profile_types(rec)] == ["cpu", "offcpu"]
    rec = written(tmp_path, stacks=("memory", "sched"), memory=[], sched=[], locks=[])
    found = profile_types(rec)
    assert [each.name for each in found] == [
        "memory.alloc_objects",
        "memory.alloc_space",
        "memory.inuse_objects",
        "memory.inuse_space",
        "sched",
    ]
    assert (found[-1].type, found[-1].unit) == ("events", "count")
