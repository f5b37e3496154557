"""Columns: what the C typedefs mean, and the tables that no C struct defines.

Event structs live in ``bpf/*.bpf.c`` and nowhere else. Their fields use the typedefs of
``bpf/workbench.bpf.h``; :data:`TYPEDEFS` gives each typedef its Arrow type and unit. The side
tables (``processes``, ``stacks``, ``frames``) are made in user space and are defined here. Texts
of what C knows by number lie in :mod:`workbench.event_texts`.

Nothing here imports pyarrow at import time: types are named, :func:`arrow_type` makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FORMAT_VERSION = 1
"""Version of the session format. History: 1, November 2026, the first."""

MAX_ERRNO = 4095
"""Return values in [-4095, -1] are errors (``IS_ERR_VALUE``, include/linux/err.h)."""


@dataclass(frozen=True)
class Meaning:
    """What a typedef of the BPF sources stands for.

    Parameters
    ----------
    arrow : str
        Name of the Arrow type, see :func:`arrow_type`.
    unit : str
        Unit of the values ("ns", "bytes", "1" for numbers and identifiers).
    meaning : str
        Used where the field itself has no ``WB_DOC`` text.
    """

    arrow: str
    unit: str
    meaning: str


TYPEDEFS: dict[str, Meaning] = {
    "wb_time_ns": Meaning("timestamp", "ns", "time of the event, UTC"),
    "wb_duration_ns": Meaning("duration", "ns", "duration"),
    "wb_pid": Meaning("uint32", "1", "process (thread group) id, tgid in the kernel"),
    "wb_tid": Meaning("uint32", "1", "thread id, pid in the kernel"),
    "wb_cpu": Meaning("uint16", "1", "CPU that recorded the event"),
    "wb_syscall_nr": Meaning("uint16", "1", "system call number of the host's architecture"),
    "wb_retval": Meaning("int64", "1", "return value; -4095 to -1 is a negated errno"),
    "wb_arg": Meaning("uint64", "1", "raw argument register"),
    "wb_count": Meaning("uint64", "1", "number of occurrences"),
    "wb_bytes": Meaning("uint64", "bytes", "size"),
    "wb_stack_id": Meaning("uint32", "1", "stack, see the table stacks"),
    "wb_stack_status": Meaning("dict8", "1", "whether the user's part of the stack is whole"),
    "wb_off_state": Meaning("dict8", "1", "why the thread left the CPU"),
    "wb_waker_context": Meaning("dict8", "1", "in what the wake-up happened"),
    "wb_user_address": Meaning("uint64", "1", "address in the process"),
    "wb_memory_op": Meaning("dict8", "1", "what happened to memory"),
    "wb_sector": Meaning("uint64", "1", "sector of 512 bytes"),
    "wb_fd": Meaning("int32", "1", "file descriptor"),
    "wb_offset": Meaning("int64", "bytes", "place in a file"),
    "wb_page_index": Meaning("uint64", "1", "page of a file, counted from its start"),
    "wb_pages": Meaning("uint32", "1", "number of pages"),
    "wb_size_class": Meaning("uint16", "1", "sizes in [2^i, 2^(i+1)) bytes"),
    "wb_device": Meaning("dict32", "1", "block device by name, or major:minor"),
    "wb_path": Meaning("dict32", "1", "path of the file"),
    "wb_path_id": Meaning("uint32", "1", "number of the path in this recording"),
    "wb_file_op": Meaning("dict8", "1", "what was done to the file"),
    "wb_file_type": Meaning("dict8", "1", "what the file is"),
    "wb_cache_op": Meaning("dict8", "1", "what happened to the pages"),
    "wb_block_op": Meaning("dict8", "1", "what the request was for"),
    "wb_block_cause": Meaning("dict8", "1", "how the request is attributed to its thread"),
    "wb_run_cause": Meaning("dict8", "1", "how the thread became ready to run"),
    "wb_exec_event": Meaning("dict8", "1", "what happened to the process"),
    "wb_lock_event": Meaning("dict8", "1", "a wait for a lock, or a call that ends waits"),
    "wb_lock_type": Meaning("dict8", "1", "what kind of lock it is"),
    "wb_lock_address": Meaning("uint64", "1", "address of a lock"),
    "wb_irq_type": Meaning("dict8", "1", "what interrupts"),
    "wb_signal_event": Meaning("dict8", "1", "generated or delivered"),
    "wb_signal_result": Meaning("dict8", "1", "what became of the generated signal"),
    "wb_signal_action": Meaning("dict8", "1", "what the delivered signal did"),
    "wb_flag": Meaning("uint16", "1", "1 for yes, 0 for no"),
    "wb_inode": Meaning("uint64", "1", "number of the socket's inode"),
    "wb_cookie": Meaning("uint64", "1", "cookie of the socket"),
    "wb_segments": Meaning("uint32", "1", "number of segments"),
    "wb_messages": Meaning("uint32", "1", "number of messages"),
    "wb_direction": Meaning("dict8", "1", "send or receive"),
    "wb_protocol": Meaning("dict8", "1", "protocol of the socket"),
    "wb_dns_name": Meaning("string", "1", "name that is asked for"),
    "wb_dns_type": Meaning("string", "1", "type of the record that is asked for"),
    "wb_dns_code": Meaning("dict8", "1", "response code"),
    "wb_dns_message": Meaning("dict8", "1", "query or answer"),
    "wb_id": Meaning("uint16", "1", "number that the answer repeats"),
    "wb_records": Meaning("uint16", "1", "number of records"),
    "wb_text": Meaning("string", "1", "text"),
    "wb_http_message": Meaning("dict8", "1", "request or answer"),
    "wb_http_method": Meaning("dict8", "1", "method of the request"),
    "wb_status": Meaning("uint16", "1", "status code"),
    "wb_address": Meaning("string", "1", "IPv4 or IPv6 address"),
    "wb_port": Meaning("uint16", "1", "port"),
    "wb_family": Meaning("dict8", "1", "address family"),
    "wb_errno": Meaning("uint16", "1", "error number, 0 for none"),
    "wb_tcp_event": Meaning("dict8", "1", "what happened to the connection"),
    "wb_tcp_state": Meaning("dict8", "1", "state of the connection"),
    "wb_congestion": Meaning("dict8", "1", "state of congestion control"),
    "wb_role": Meaning("dict8", "1", "which side of the connection this is"),
    "wb_reason": Meaning("string", "1", "why it happened"),
    "wb_weight": Meaning("uint32", "1", "number of events that the row stands for"),
}


@dataclass(frozen=True)
class Column:
    """One column of a table that user space makes."""

    name: str
    arrow: str
    unit: str
    meaning: str
    nullable: bool = False


PROCESSES = (
    Column("ts", "timestamp", "ns", "time from which the row holds, UTC"),
    Column("event", "dict8", "1", "snapshot, fork, exec, rename or exit"),
    Column("pid", "uint32", "1", "process (thread group) id"),
    Column("tid", "uint32", "1", "thread id; equals pid for the main thread"),
    Column("ppid", "uint32", "1", "process id of the parent"),
    Column("comm", "string", "1", "thread name, at most 15 bytes"),
    Column("exe", "string", "1", "path of the executable, empty where it could not be read"),
    Column("cmdline", "string", "1", "arguments, shell-quoted"),
    Column("cgroup", "string", "1", "path in the cgroup v2 hierarchy"),
    Column("exit_code", "int32", "1", "wait status: code << 8 | signal", nullable=True),
)

STACKS = (
    Column("stack_id", "uint32", "1", "stack"),
    Column("frame_ids", "list_uint32", "1", "frames of the stack, leaf first"),
)

FRAMES = (
    Column("frame_id", "uint32", "1", "frame"),
    Column("function", "string", "1", "function, or a text in brackets where it is not known"),
    Column("file", "string", "1", "source file", nullable=True),
    Column("line", "uint32", "1", "source line", nullable=True),
    Column("module", "string", "1", "path of the ELF file, [kernel], [anon] or [unknown]"),
    Column("build_id", "string", "1", "GNU build id of the module, hexadecimal"),
    Column("offset", "uint64", "bytes", "address in the module; absolute for kernel and JIT code"),
    Column("kind", "dict8", "1", "kernel, native, python, jit, inlined or unknown"),
)

SIDE_TABLES: dict[str, tuple[Column, ...]] = {
    "processes": PROCESSES,
    "stacks": STACKS,
    "frames": FRAMES,
}

DERIVED: dict[str, Column] = {
    column.name: column
    for column in (
        Column("comm", "dict32", "1", "thread name at the time of the event"),
        Column("weight", "uint32", "1", "number of events that the row stands for"),
        Column("name", "dict32", "1", "name of the system call"),
        Column("errno", "uint16", "1", "error number, null when the call succeeded", nullable=True),
    )
}
"""Columns that are added to the C struct's when a table is read."""

FRAME_KINDS = ("kernel", "native", "python", "jit", "inlined", "unknown")
PROCESS_EVENTS = ("snapshot", "fork", "exec", "rename", "exit")


def arrow_type(name: str) -> Any:
    """Return the pyarrow type of that name.

    Parameters
    ----------
    name : str
        ``timestamp`` (ns, UTC), ``duration`` (ns), ``dict8`` and ``dict32`` (dictionary of
        strings with int8 or int32 indices), ``list_uint32``, or a name that pyarrow knows.

    Returns
    -------
    pyarrow.DataType
    """
    import pyarrow as pa

    special = {
        "timestamp": lambda: pa.timestamp("ns", tz="UTC"),
        "duration": lambda: pa.duration("ns"),
        "dict8": lambda: pa.dictionary(pa.int8(), pa.string()),
        "dict32": lambda: pa.dictionary(pa.int32(), pa.string()),
        "list_uint32": lambda: pa.list_(pa.uint32()),
    }
    return special[name]() if name in special else pa.type_for_alias(name)


def arrow_field(column: Column) -> Any:
    """Return the pyarrow field of a column, with ``unit`` and ``meaning`` as metadata."""
    import pyarrow as pa

    return pa.field(
        column.name,
        arrow_type(column.arrow),
        nullable=column.nullable,
        metadata={"unit": column.unit, "meaning": column.meaning},
    )


def arrow_schema(columns: tuple[Column, ...]) -> Any:
    """Return the pyarrow schema of a side table."""
    import pyarrow as pa

    return pa.schema([arrow_field(column) for column in columns])
