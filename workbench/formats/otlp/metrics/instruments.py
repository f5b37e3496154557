"""What is measured: the metrics that are made of each table of a session.

Names and units follow the semantic conventions of OpenTelemetry where those have such a metric;
others begin with ``workbench.``. Times that were taken in ns stay in ns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.formats.otlp.metrics.instrument import Instrument
from workbench.formats.otlp.slices import integers
from workbench.formats.otlp.traces import thread_spans as threads

if TYPE_CHECKING:
    from workbench.formats.otlp.identity import Ids

_SECONDS = 1e-9
_PID = {"pid": "process.pid"}
_ERROR = {"errno": "error.type"}
_CALL = _PID | {"name": "workbench.syscall.name"} | _ERROR
_HTTP = {
    "method": "http.request.method",
    "status": "http.response.status_code",
    "failure": "error.type",
    "scheme": "url.scheme",
}
_PEER = {"remote_address": "server.address", "remote_port": "server.port"}
_TCP = _PID | {"role": "workbench.tcp.role"}
_IO = {"io": "network.io.direction", "protocol": "network.transport"}
_CLIENT = "message = 'answer' and latency > 0 and direction = 'receive'"
_SERVER = "message = 'answer' and latency > 0 and direction = 'send'"
_CLOSED = "event in ('closed', 'open') and role <> 'listener'"


def _thread(people: Any, rows: Any) -> Ids:
    """Return the spans of the threads that rows are about."""
    columns = (integers(rows, name) for name in ("pid", "tid", "ts"))
    found: Ids = people.owners(*columns)[1]
    return found


INSTRUMENTS = (
    Instrument(
        "syscalls",
        "workbench.syscall.duration",
        "ns",
        "time in system calls",
        by=_CALL,
        spans=threads.syscall_ids,
    ),
    Instrument(
        "syscalls",
        "workbench.syscall.errors",
        "{call}",
        "system calls that failed",
        "sum",
        (),
        _CALL,
        "errno is not null",
    ),
    Instrument(
        "sched",
        "workbench.run_queue.duration",
        "ns",
        "time that threads waited for a CPU",
        by=_PID,
        where="latency > 0",
        spans=_thread,
    ),
    Instrument(
        "sched",
        "workbench.on_cpu.duration",
        "ns",
        "time that threads had a CPU without a break",
        values=("ran",),
        by=_PID,
        spans=_thread,
    ),
    Instrument(
        "offcpu",
        "workbench.off_cpu.duration",
        "ns",
        "time that threads were off the CPU",
        values=("blocked", "runnable"),
        by=_PID | {"state": "workbench.offcpu.state"},
        spans=threads.offcpu_ids,
    ),
    Instrument(
        "offcpu",
        "workbench.off_cpu.runnable.duration",
        "ns",
        "part of it in which threads waited for a CPU",
        values=("runnable",),
        by=_PID,
        spans=threads.offcpu_ids,
    ),
    Instrument(
        "locks",
        "workbench.lock.wait.duration",
        "ns",
        "time that threads waited for locks",
        values=("waited",),
        by=_PID | {"type": "workbench.lock.type"},
        where="event = 'wait'",
        spans=threads.lock_ids,
    ),
    Instrument(
        "http",
        "http.client.request.duration",
        "s",
        "time from a request that was sent to its answer",
        by=_HTTP | _PEER,
        where=_CLIENT,
        factor=_SECONDS,
        spans=_thread,
    ),
    Instrument(
        "http",
        "http.server.request.duration",
        "s",
        "time from a request that came to its answer",
        by=_HTTP,
        where=_SERVER,
        factor=_SECONDS,
        spans=_thread,
    ),
    Instrument(
        "dns",
        "dns.lookup.duration",
        "s",
        "time from a query to its answer",
        by={
            "qname": "dns.question.name",
            "rcode": "workbench.dns.response_code",
            "failure": "error.type",
        },
        where=_CLIENT,
        factor=_SECONDS,
        spans=_thread,
    ),
    Instrument(
        "tcp",
        "workbench.tcp.connect.duration",
        "ns",
        "time from the SYN to the connection",
        by=_PID | _ERROR,
        where="event = 'connect'",
        spans=_thread,
    ),
    Instrument(
        "tcp",
        "workbench.tcp.sent",
        "By",
        "bytes sent by connections, at their end",
        "sum",
        ("bytes_sent",),
        _TCP,
        _CLOSED,
    ),
    Instrument(
        "tcp",
        "workbench.tcp.received",
        "By",
        "bytes received by connections, at their end",
        "sum",
        ("bytes_received",),
        _TCP,
        _CLOSED,
    ),
    Instrument(
        "tcp",
        "workbench.tcp.retransmits",
        "{segment}",
        "segments that were sent again",
        "sum",
        (),
        _TCP,
        "event = 'retransmit'",
    ),
    Instrument(
        "tcp",
        "workbench.tcp.rtt",
        "ns",
        "smoothed round-trip time as it was last",
        "gauge",
        ("rtt",),
        _TCP,
        "rtt > 0",
    ),
    Instrument(
        "sockets",
        "workbench.socket.call.duration",
        "ns",
        "time in calls that send and receive",
        by=_PID | _IO | _ERROR,
        spans=_thread,
    ),
    Instrument(
        "sockets",
        "workbench.socket.io",
        "By",
        "bytes sent and received",
        "sum",
        ("bytes",),
        _PID | _IO,
    ),
    Instrument(
        "files",
        "workbench.file.operation.duration",
        "ns",
        "time in calls on files",
        by=_PID | {"op": "workbench.file.operation"} | _ERROR,
        spans=_thread,
    ),
    Instrument(
        "files",
        "workbench.file.io",
        "By",
        "bytes read and written",
        "sum",
        ("ret",),
        _PID | {"op": "workbench.file.operation"},
        "op in ('read', 'write') and ret > 0",
    ),
    Instrument(
        "block",
        "workbench.block.service.duration",
        "ns",
        "time that disks took for requests",
        values=("service",),
        by={"device": "system.device", "op": "workbench.block.operation"},
        spans=_thread,
    ),
    Instrument(
        "block",
        "workbench.block.io",
        "By",
        "bytes of requests to disks",
        "sum",
        ("bytes",),
        {"device": "system.device", "op": "workbench.block.operation"},
    ),
    Instrument(
        "irq",
        "workbench.interrupt.duration",
        "ns",
        "time in interrupts",
        values=("duration",),
        by={"type": "workbench.interrupt.type"},
    ),
    Instrument("cpu", "workbench.cpu.samples", "{sample}", "samples on the CPU", "sum", (), _PID),
    Instrument(
        "memory",
        "workbench.memory.allocated",
        "By",
        "bytes that were allocated",
        "sum",
        ("size",),
        _PID,
        "op = 'alloc'",
    ),
)
"""Of tables with an event in each row."""
