"""What programs do with files: each call as an event, or sums made in the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.errors import ParameterError
from workbench.event_texts import FILE_OPS
from workbench.kinds._kind import Aggregation, CaptureKind, Parameter
from workbench.syscalls_table import number_of

if TYPE_CHECKING:
    from collections.abc import Mapping

SHAPES = (
    "fd",
    "count",
    "count_at",
    "vector",
    "vector_at",
    "path",
    "path_at",
    "sendfile",
    "copy",
)
"""Where a call has its arguments: ``enum wb_file_shape`` of ``bpf/files.bpf.c``."""

COVERED: dict[str, tuple[str, str]] = {
    "open": ("open", "path"),
    "creat": ("open", "path"),
    "openat": ("open", "path_at"),
    "openat2": ("open", "path_at"),
    "close": ("close", "fd"),
    "read": ("read", "count"),
    "pread64": ("read", "count_at"),
    "readv": ("read", "vector"),
    "preadv": ("read", "vector_at"),
    "preadv2": ("read", "vector_at"),
    "write": ("write", "count"),
    "pwrite64": ("write", "count_at"),
    "writev": ("write", "vector"),
    "pwritev": ("write", "vector_at"),
    "pwritev2": ("write", "vector_at"),
    "fsync": ("sync", "fd"),
    "fdatasync": ("sync", "fd"),
    "sendfile": ("other", "sendfile"),
    "splice": ("other", "copy"),
    "copy_file_range": ("other", "copy"),
}
"""System calls that are captured: what they do, and where they have their arguments. Those that
do something else read one file and write another: they give two events."""


def _settings(parameters: Mapping[str, Any], machine: str) -> dict[str, Any]:
    if parameters["stacks"] and parameters["aggregate"]:
        raise ParameterError(
            "Sums made in the kernel have no stacks.", advice="Leave out aggregate or stacks."
        )
    numbers = number_of(machine)
    covered = [0] * 512
    for name, (op, shape) in COVERED.items():
        if name in numbers:  # arm64 has no open and creat
            covered[numbers[name]] = FILE_OPS.index(op) | SHAPES.index(shape) << 4
    return {
        "aggregate": int(parameters["aggregate"]),
        "regular": int(parameters["regular"]),
        "covered": covered,
    }


KIND = CaptureKind(
    name="files",
    answers="Which files does the program open, read, write and sync, how much, how long does it "
    "take, which are missing?",
    cost="about 0.7 µs a call on a file, 0.2 µs any other system call; with stacks as syscalls",
    probes=("tp_btf/sys_enter", "tp_btf/sys_exit"),
    parameters=(
        Parameter("regular", False, "only regular files, and what could not be opened"),
        Parameter("aggregate", False, "sum by process and file in the kernel, send no events"),
        Parameter("stacks", False, "take the caller's stack, native and Python, with each event"),
    ),
    settings=_settings,
    ring_bytes=1 << 24,
    stacks="stacks",
    aggregation=Aggregation(
        when="aggregate",
        map="aggregates",
        key="aggregate_key",
        value="aggregate_value",
        table="files_agg",
        count="operations",
    ),
    derived=("name", "errno"),
)
