"""System calls, time off the CPU and waits for locks as spans: row by row against the table."""

import errno

import pyarrow as pa
from otlp_sessions import T0, attributes, messages, spans, synthetic, written

from workbench.formats.otlp.traces.thread_spans import errors


def nanoseconds(delta):
    return delta.days * 86_400_000_000_000 + delta.seconds * 10**9 + delta.microseconds * 1000


def of_table(rec, key):
    return [s for s in spans(messages(rec, "traces")) if key in attributes(s)]


def test_system_calls(tmp_path):
    rec = synthetic(tmp_path, kinds=("syscalls",))
    found = of_table(rec, "workbench.syscall.return_value")
    table = rec["syscalls"].arrow().to_pandas()
    assert len(found) == len(table)
    known = {s.span_id: s for s in spans(messages(rec, "traces"))}
    for span, row in zip(found, table.itertuples(), strict=True):
        shown = attributes(span)
        assert span.name == row.name
        assert span.start_time_unix_nano == row.ts.value
        assert span.end_time_unix_nano - span.start_time_unix_nano == row.latency.value
        assert shown["process.pid"] == row.pid
        assert shown["thread.id"] == row.tid
        assert shown.get("thread.name", "") == row.comm
        assert shown["cpu.logical_number"] == row.cpu
        assert shown["workbench.syscall.return_value"] == row.ret
        if row.errno == row.errno and row.errno is not None:  # not null
            assert shown["error.type"] == errno.errorcode[int(row.errno)] == span.status.message
            assert span.status.code == 2
        else:
            assert "error.type" not in shown
            assert span.status.code == 0
        if span.parent_span_id:
            parent = known[span.parent_span_id]
            assert parent.trace_id == span.trace_id
            own = attributes(parent)
            assert own["process.pid"] == row.pid
            assert own.get("thread.id", row.tid) == row.tid
        else:
            assert row.pid == 9999  # nothing is known of it
    assert len({s.span_id for s in found}) == len(found)


def test_time_off_the_cpu(tmp_path):
    rec = synthetic(tmp_path, kinds=("offcpu",))
    found = of_table(rec, "workbench.offcpu.blocked_ns")
    table = rec["offcpu"].arrow().to_pandas()
    assert len(found) == len(table)
    threads = {
        attributes(s)["thread.id"]: s.span_id
        for s in spans(messages(rec, "traces"))
        if "workbench.offcpu.blocked_ns" not in attributes(s) and "thread.id" in attributes(s)
    }
    for span, row in zip(found, table.itertuples(), strict=True):
        shown = attributes(span)
        assert span.name == row.state
        assert shown["workbench.offcpu.blocked_ns"] == row.blocked.value
        assert shown["workbench.offcpu.runnable_ns"] == row.runnable.value
        lasted = span.end_time_unix_nano - span.start_time_unix_nano
        assert lasted == row.blocked.value + row.runnable.value
        links = [link.span_id for link in span.links]
        assert links == ([threads[1001]] if row.waker_tid else [])
        assert shown.get("workbench.weight", 1) == row.weight


def test_locks(tmp_path):
    wait = {"ts": T0, "pid": 1000, "tid": 1001, "event": "wait", "type": "futex", "lock": 2**63 + 1}
    rec = written(
        tmp_path,
        locks=[
            wait | {"waited": 500, "waker_tid": 2000, "open": 1},
            wait | {"ts": T0 + 1, "waited": 7, "ret": -errno.ETIMEDOUT},
            wait | {"ts": T0 + 2, "event": "wake", "ret": 1},
        ],
    )
    woken, late = of_table(rec, "workbench.lock.address")
    assert woken.name == late.name == "futex"
    assert woken.end_time_unix_nano - woken.start_time_unix_nano == 500
    assert attributes(woken)["workbench.lock.address"] == "0x8000000000000001"
    assert attributes(woken)["workbench.open"] is True
    assert "workbench.open" not in attributes(late)
    assert attributes(late)["error.type"] == "ETIMEDOUT"
    assert [len(woken.links), len(late.links)] == [1, 0]
    assert woken.links[0].trace_id != woken.trace_id  # by a thread of another process


def test_names_of_errors():
    numbers = pa.array([2, 0, None, 4000, 65535], pa.uint16())
    assert errors(numbers).to_pylist() == ["ENOENT", None, None, "E4000", None]


def test_no_waits(tmp_path):
    rec = written(tmp_path, locks=[{"ts": T0, "event": "wake"}])
    assert not of_table(rec, "workbench.lock.address")
