import numpy as np
from fake_recording import FakeRecording

from workbench.frames import snapshots


def row(ts, pid, name, slots, errors=0):
    hist = [0] * 64
    for slot, count in slots.items():
        hist[slot] = count
    calls = sum(slots.values())
    return {
        "ts": ts, "pid": pid, "nr": len(name), "name": name, "calls": calls, "errors": errors,
        "latency_sum": sum(count << slot for slot, count in slots.items()), "latency_hist": hist,
    }  # fmt: skip


REC = FakeRecording(
    syscalls_agg=[
        row(20, 1, "read", {3: 4, 10: 1}),
        row(10, 1, "read", {3: 2}),
        row(20, 2, "read", {3: 5}, errors=2),
        row(20, 1, "openat", {}),
    ]
)


def test_the_last_snapshot_of_each_process_and_call_counts():
    last = snapshots.last_snapshot(REC).filter(name="read").sort("pid")
    assert last["pid"].to_list() == [1, 2]
    assert last["calls"].to_list() == [5, 5]


def test_histograms_are_summed_by_name():
    names, counts = snapshots.histograms(snapshots.last_snapshot(REC))
    assert names.to_list() == ["openat", "read"]
    assert counts.shape == (2, 64)
    assert np.flatnonzero(counts[1]).tolist() == [3, 10]
    assert counts[1][3] == 9
    assert not counts[0].any()


def test_summary_adds_processes_and_leaves_out_what_was_never_called():
    found = snapshots.summary(REC).to_dicts()
    (read,) = found
    assert (read["name"], read["calls"], read["errors"]) == ("read", 10, 2)
    assert read["total"] == 9 * 8 + 1024
    assert read["mean"] == round(read["total"] / 10)
    assert 8 <= read["p50"] < 16
    assert 1024 <= read["p99"] <= 2048
    assert read["max"] is None
