from __future__ import annotations

from fake_recording import FakeRecording

from workbench.frames.losses import (
    incomplete,
    loss_summary,
    lossy,
    overhead_summary,
    shortcomings,
    stack_summary,
)

LOSSES = (
    {"kind": "cpu", "cpu": 0, "produced": 10, "delivered": 10, "dropped": {}},
    {"kind": "syscalls", "cpu": 0, "produced": 90, "delivered": 88, "dropped": {"ring_full": 2}},
    {
        "kind": "syscalls",
        "cpu": 1,
        "produced": 10,
        "delivered": 1,
        "dropped": {"ring_full": 4, "map_full": 5, "other": 0},
    },
)


def test_losses_are_summed_per_kind() -> None:
    table = loss_summary(FakeRecording({"losses": LOSSES}))
    assert table.rows() == [
        ("cpu", 10, 10, 0, 0.0, ""),
        ("syscalls", 100, 89, 11, 0.11, "ring_full 6, map_full 5"),
    ]
    assert (table["produced"] == table["delivered"] + table["dropped"]).all()


def test_sentence_names_lossy_kinds_only() -> None:
    text = lossy(FakeRecording({"losses": LOSSES}))
    assert text == "11 of 100 events of syscalls were lost (11.0%: ring_full 6, map_full 5)."
    assert lossy(FakeRecording({"losses": LOSSES[:1]})) == ""
    assert lossy(FakeRecording({"losses": LOSSES}), "cpu") == ""
    few = {"kind": "k", "cpu": 0, "produced": 10**6, "delivered": 10**6 - 1, "dropped": {"x": 1}}
    assert "less than 0.1%" in lossy(FakeRecording({"losses": (few,)}))


def test_nothing_known() -> None:
    assert loss_summary(FakeRecording()).height == 0
    assert overhead_summary(FakeRecording()).height == 0


def test_overhead_is_ordered_and_may_lack_figures() -> None:
    programs = (
        {"kind": "cpu", "program": "a", "run_count": 1, "ns_per_run": 2.0, "cpu_share": 0.01},
        {"kind": "cpu", "program": "b", "run_count": 1, "ns_per_run": 2.0, "cpu_share": 0.5},
        {"kind": "cpu", "program": "c"},
    )
    table = overhead_summary(FakeRecording({"overhead": programs}))
    assert table["program"].to_list() == ["b", "a", "c"]


def test_hostile_counts_do_not_overflow() -> None:
    entry = {
        "kind": "k",
        "cpu": 0,
        "produced": 2**64 - 1,
        "delivered": 0,
        "dropped": {"a": 2**64 - 1, "b": 9},
    }
    table = loss_summary(FakeRecording({"losses": (entry, entry)}))
    assert table["produced"][0] == table["dropped"][0] == 2**64 - 1


def test_incomplete_stacks() -> None:
    counts = ({"complete": 90, "kernel_only": 5, "bad_rule": 1}, {"image_missing": 4}, {})
    losses = [LOSSES[0] | {"cpu": cpu, "stacks": n} for cpu, n in enumerate(counts)]
    whole = LOSSES[1] | {"kind": "offcpu", "stacks": {"complete": 7}}
    rec = FakeRecording({"losses": (*losses, whole, LOSSES[1])})
    assert stack_summary(rec).rows() == [
        ("cpu", 100, 5, 0.05, "image_missing 4, bad_rule 1"),
        ("offcpu", 7, 0, 0.0, ""),
    ]
    text = "5 of 100 stacks of cpu are incomplete (5.0%: image_missing 4, bad_rule 1)."
    assert incomplete(rec) == incomplete(rec, "cpu") == text
    assert incomplete(rec, "offcpu") == incomplete(FakeRecording()) == ""


def test_what_views_of_stacks_say():
    losses = (LOSSES[1] | {"stacks": {"complete": 2, "truncated": 2}}, LOSSES[0])
    rec = FakeRecording({"losses": losses})
    assert shortcomings(rec, "syscalls") == (
        "2 of 90 events of syscalls were lost (2.2%: ring_full 2). "
        "2 of 4 stacks of syscalls are incomplete (50.0%: truncated 2)."
    )
    assert shortcomings(rec, "cpu") == ""
