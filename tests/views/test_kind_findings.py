from __future__ import annotations

import pytest
from fake_recording import FakeRecording
from kind_rows import NETWORK, ROWS, frame, recording
from network_rows import counts

from workbench.views.kind_findings import of_kinds


def test_sentences_of_all_kinds():
    found = dict(of_kinds(recording()))
    assert found == {
        "Waiting for a CPU": " (thread 30) waited most in a run queue: 1.03 µs in 1 runs, "
        "while it ran for 0 ns.",
        "Locks": "futex 0xff of process 1 was waited for most: 2 µs in 1 waits by 1 threads.",
        "Files": "Most bytes: /no/<such>, 0 B read and 0 B written. Of 1 calls 1 failed.",
        "Disk": "1 requests, 4 KiB; most bytes: write on vda, 99 % served within 0 ns.",
        "TCP": "1 connections as their ends see them, 1 failed; 0 retransmits.",
        "Names": "1 queries for 1 names and types; for 0 there was no such name, 0 failed.",
        "HTTP": "0 requests for 1 methods and paths; answers with 400 to 499: 0, from 500 on: 1.",
        "Memory": "Candidates for leaks: 1; the largest, 58.6 KiB in 2 allocations.",
    }


@pytest.mark.parametrize("kind", [*ROWS, *NETWORK])
def test_kinds_that_saw_nothing_say_nothing(kind):
    rows = frame(kind, []) if kind in NETWORK else []
    assert of_kinds(FakeRecording(**{kind: rows}, processes=[])) == []


def test_memory_that_is_freed_is_no_leak():
    rows = [{"op": "alloc", "size": 10, "address": 1, "born": 1, "ts": 1}]
    rec = FakeRecording(memory=frame("memory", rows), processes=[])
    assert of_kinds(rec) == [("Memory", "No candidate for a leak.")]


def test_counts_made_in_the_kernel_are_enough():
    counted = [
        {"pid": 1, "tid": 2, "comm": "a", "runs": 9, "latency_sum": 5, "latency_hist": [0] * 64}
    ]
    ((title, text),) = of_kinds(FakeRecording(sched_agg=counted))
    assert title == "Waiting for a CPU"
    assert text.startswith("a (thread 2) waited most in a run queue: 5 ns in 9 runs")


@pytest.mark.parametrize(
    ("kind", "column", "told"),
    [
        ("dns", "queries", ("Names", "3 queries for 1 names and types; ")),
        ("http", "requests", ("HTTP", "3 requests for 1 methods and paths; ")),
    ],
)
def test_counts_of_messages_are_enough(kind, column, told):
    key = {"pid": 1, "role": "client", "ts": 1}
    table = {f"{kind}_agg": counts(kind, [{**key, column: 3}])}
    ((title, text),) = of_kinds(FakeRecording(**table))
    assert (title, text[: len(told[1])]) == told
