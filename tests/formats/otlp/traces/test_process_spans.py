"""Processes and threads as spans, against the synthetic sessions' scenery."""

from otlp_sessions import attributes, messages, profiles, spans, synthetic
from synthetic import DURATION, SECOND, START

from workbench.frames.processes import processes


def tree(rec):
    """Processes and threads."""
    found = [s for s in spans(messages(rec, "traces")) if "process.pid" in attributes(s)]
    owners = [s for s in found if "process.parent_pid" in attributes(s)]
    ids = {s.span_id for s in owners}
    return owners, [s for s in found if s.parent_span_id in ids]


def test_one_span_per_process_and_thread(tmp_path):
    rec = synthetic(tmp_path, kinds=("cpu",))
    owners, threads = tree(rec)
    frame = processes(rec)
    assert len(owners) == len(frame) == 5
    assert sorted(s.name for s in owners) == ["bash", "cat", "grep", "python3", "systemd"]
    assert sorted(attributes(s)["thread.id"] for s in threads) == [1, 1000, 1001, 2000, 2100, 2100]
    by_id = {s.span_id: s for s in owners}
    for thread in threads:
        parent = by_id[thread.parent_span_id]
        assert attributes(thread)["process.pid"] == attributes(parent)["process.pid"]
        assert thread.trace_id == parent.trace_id
        assert parent.start_time_unix_nano <= thread.start_time_unix_nano
        assert thread.end_time_unix_nano <= parent.end_time_unix_nano
    assert len({s.trace_id for s in owners}) == 5  # a trace for each


def test_what_a_process_tells(tmp_path):
    rec = synthetic(tmp_path, kinds=("cpu",))
    owners, _ = tree(rec)
    by_name = {s.name: s for s in owners}
    cat = by_name["cat"]
    # The profile that covers it, and what its samples link to, are the same two.
    covered = attributes(cat)["workbench.profile.cpu"]
    assert covered == profiles(messages(rec, "profiles"))[0].profile_id.hex()
    assert attributes(cat) == {
        "process.pid": 2100,
        "process.parent_pid": 2000,
        "process.executable.name": "cat",
        "process.executable.path": "/usr/bin/cat",
        "process.command_line": "cat 'a file'",
        "process.linux.cgroup": "/user.slice",
        "process.exit.code": 1,
        "error.type": "exit status 1",
        "workbench.profile.cpu": covered,
    }
    assert cat.status.code == 2
    assert cat.start_time_unix_nano == START + 4 * SECOND
    assert cat.end_time_unix_nano == START + 6 * SECOND
    assert [link.span_id for link in cat.links] == [by_name["python3"].span_id]
    assert [link.trace_id for link in cat.links] == [by_name["python3"].trace_id]
    grep = by_name["grep"]
    assert attributes(grep)["process.exit.code"] == 0
    assert grep.status.code == 0
    assert [link.span_id for link in grep.links] == [by_name["bash"].span_id]
    system = by_name["systemd"]
    assert not system.links
    assert (system.start_time_unix_nano, system.end_time_unix_nano) == (START, START + DURATION)


def test_a_selection_has_the_same_identifiers(tmp_path):
    rec = synthetic(tmp_path, kinds=("cpu",))
    whole = {s.span_id: s for s in spans(messages(rec, "traces"))}
    some = spans(messages(rec.where(pid=2100), "traces"))
    assert 0 < len(some) < len(whole)
    assert all(whole[s.span_id] == s for s in some)
    assert {attributes(s)["process.pid"] for s in some} == {2100}
