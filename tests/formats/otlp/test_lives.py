"""Whose an event is: against the slow and plain search."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from otlp_sessions import synthetic, written
from synthetic import SECOND, START

from workbench.formats.otlp.lives import Lives, People

SMALL = st.integers(0, 6)


def plain(lives, key, ts):
    mine = [(since, i) for i, (k, since) in enumerate(lives) if k == key]
    if not mine:
        return {-1}
    before = [since for since, _ in mine if since <= ts]
    wanted = max(before) if before else min(since for since, _ in mine)
    return {i for since, i in mine if since == wanted}


@given(st.lists(st.tuples(SMALL, SMALL), max_size=30), st.lists(st.tuples(SMALL, SMALL)))
def test_the_last_life_that_had_begun(lives, events):
    found = Lives([k for k, _ in lives], [s for _, s in lives]).find(
        [k for k, _ in events], [t for _, t in events]
    )
    for (key, ts), index in zip(events, found.tolist(), strict=True):
        assert index in plain(lives, key, ts)


def seconds(*values):
    return START + (np.array(values) * SECOND).astype(np.int64)


def test_processes_and_threads(tmp_path):
    people = People(synthetic(tmp_path, 10))
    at = people.process([2100, 2100, 2100, 9999, 1000], seconds(1, 5, 8, 5, 5))
    shown = people.processes["comm"].to_list()
    assert [shown[i] if i >= 0 else None for i in at] == ["cat", "cat", "grep", None, "bash"]
    thread = people.thread([1001, 1002, 2000], seconds(5, 5, 5))
    assert [people.threads["comm"].to_list()[i] if i >= 0 else None for i in thread] == [
        "worker-0",
        None,
        "job",
    ]
    trace, span = people.owners([1000, 1000, 9999], [1001, 1002, 9999], seconds(5, 5, 5))
    assert trace[0][0] == trace[0][1] != trace[0][2]
    assert span[0] == people.thread_ids[thread[0]]
    assert span[1] == people.process_ids[at[4]]  # its thread is not known
    assert span[2] == 0
    own = people.thread_trace(thread[:1])
    assert [own[0][0], own[1][0]] == [trace[0][0], trace[1][0]]
    assert len({*people.process_ids.tolist(), *people.thread_ids.tolist()}) == len(
        people.processes
    ) + len(people.threads)


def test_identifiers_do_not_depend_on_the_selection(tmp_path):
    rec = synthetic(tmp_path, 10)
    all_, some = People(rec), People(rec.where(comm="cat").window(5.0, 6.0))
    assert (all_.process_ids == some.process_ids).all()
    assert (all_.thread_ids == some.thread_ids).all()


def test_a_session_without_events(tmp_path):
    people = People(written(tmp_path, sched=[]))
    assert people.end > people.start
