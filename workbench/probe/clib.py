"""libbpf.so.1 through ctypes: prototypes, log capture, errno.

The only bindings on PyPI when this was written, pylibbpf 0.0.6 and pybpf, hand each record to a
Python callback and can neither set ``const volatile`` parameters nor hold perf-event links, so
the few functions that are needed are declared here. Loaded at first use: reading a session
needs no libbpf.
"""

from __future__ import annotations

import ctypes as c
import errno
import os
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from workbench.errors import NotPermittedError, UnsupportedKernelError
from workbench.probe import privileges

if TYPE_CHECKING:
    from collections.abc import Iterator

P = c.c_void_p
S = c.c_char_p
I = c.c_int  # noqa: E741 - one letter a type keeps the table below readable
U = c.c_uint32
Z = c.c_size_t
L = c.c_uint64

_PROTOTYPES: dict[str, tuple[Any, ...]] = {
    # name: (result, arguments...)
    "libbpf_set_print": (P, P),
    "libbpf_num_possible_cpus": (I,),
    "libbpf_probe_bpf_prog_type": (I, I, P),
    "libbpf_probe_bpf_map_type": (I, I, P),
    "bpf_object__open_file": (P, S, P),
    "bpf_object__close": (None, P),
    "bpf_object__load": (I, P),
    "bpf_object__btf": (P, P),
    "btf__raw_data": (P, P, c.POINTER(U)),
    "btf__load_vmlinux_btf": (P,),
    "btf__load_from_kernel_by_id": (P, U),
    "btf__find_by_name_kind": (c.c_int32, P, S, U),
    "btf__type_by_id": (P, P, U),
    "btf__type_cnt": (U, P),
    "btf__name_by_offset": (S, P, U),
    "btf__free": (None, P),
    "bpf_object__next_map": (P, P, P),
    "bpf_object__next_program": (P, P, P),
    "bpf_map__name": (S, P),
    "bpf_map__fd": (I, P),
    "bpf_map__type": (I, P),
    "bpf_map__key_size": (U, P),
    "bpf_map__value_size": (U, P),
    "bpf_map__max_entries": (U, P),
    "bpf_map__set_max_entries": (I, P, U),
    "bpf_map__set_key_size": (I, P, U),
    "bpf_map__set_value_size": (I, P, U),
    "bpf_map__set_autocreate": (I, P, c.c_bool),
    "bpf_map__reuse_fd": (I, P, I),
    "bpf_map__initial_value": (P, P, c.POINTER(Z)),
    "bpf_map__is_internal": (c.c_bool, P),
    "bpf_program__name": (S, P),
    "bpf_program__section_name": (S, P),
    "bpf_program__fd": (I, P),
    "bpf_program__type": (I, P),
    "bpf_program__autoload": (c.c_bool, P),
    "bpf_program__set_autoload": (I, P, c.c_bool),
    "bpf_program__attach": (P, P),
    "bpf_program__attach_perf_event": (P, P, I),
    "bpf_program__attach_uprobe_opts": (P, P, I, S, Z, P),
    "bpf_program__attach_kprobe_opts": (P, P, S, P),
    "bpf_program__attach_raw_tracepoint": (P, P, S),
    "bpf_program__set_attach_target": (I, P, I, S),
    "bpf_program__set_expected_attach_type": (I, P, I),
    "bpf_prog_load": (I, I, S, S, P, Z, P),
    "bpf_link__destroy": (I, P),
    "bpf_link__fd": (I, P),
    "bpf_iter_create": (I, I),
    "bpf_map_lookup_elem": (I, I, P, P),
    "bpf_map_update_elem": (I, I, P, P, L),
    "bpf_map_delete_elem": (I, I, P),
    "bpf_map_get_next_key": (I, I, P, P),
    "bpf_map_lookup_and_delete_elem": (I, I, P, P),
    "bpf_map_lookup_batch": (I, I, P, P, P, P, c.POINTER(U), P),
    "bpf_map_update_batch": (I, I, P, P, c.POINTER(U), P),
    "bpf_map_delete_batch": (I, I, P, c.POINTER(U), P),
    "bpf_map_get_fd_by_id": (I, U),
    "bpf_obj_get_info_by_fd": (I, I, P, c.POINTER(U)),
    "bpf_map_create": (I, I, S, U, U, U, P),
    "bpf_enable_stats": (I, I),
}

_PRINT = c.CFUNCTYPE(c.c_int, c.c_int, c.c_char_p, c.c_void_p)


@cache
def lib() -> Any:
    """Return libbpf with the prototypes set.

    Raises
    ------
    UnsupportedKernelError
        libbpf.so.1 (libbpf 1.0 or newer) is not installed.
    """
    try:
        library = c.CDLL("libbpf.so.1", use_errno=True)
    except OSError as error:
        raise UnsupportedKernelError(
            "libbpf 1.x is not installed.",
            why=str(error),
            advice="Install it: apt-get install libbpf1, dnf install libbpf.",
        ) from error
    for name, (result, *arguments) in _PROTOTYPES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.libbpf_set_print(c.cast(_printer, P))
    return library


@cache
def libc() -> Any:
    """Return the C library."""
    return c.CDLL(None, use_errno=True)


_log: list[str] | None = None
MAX_LOG = 32 << 20
LEVEL_INFO = 1  # enum libbpf_print_level: warn, info, debug


@cache
def _buffer() -> Any:
    """Room for the longest verifier log that libbpf asks for (16 MiB), touched as needed."""
    return c.create_string_buffer(17 << 20)


@_PRINT  # type: ignore[untyped-decorator]
def _printer(level: int, text: bytes, arguments: int) -> int:
    """Take a message of libbpf. On both ABIs a va_list argument is passed as an address."""
    if _log is not None and level <= LEVEL_INFO and sum(map(len, _log)) < MAX_LOG:
        buffer = _buffer()
        libc().vsnprintf(buffer, len(buffer), c.c_char_p(text), c.c_void_p(arguments))
        _log.append(buffer.value.decode("utf-8", "replace"))
    return 0


@contextmanager
def log_capture() -> Iterator[list[str]]:
    """Collect what libbpf prints, verifier logs included, instead of writing it to stderr."""
    global _log  # noqa: PLW0603 - libbpf has one print function per process
    # Anew each time: libbcc, which uses the same libbpf, sets another one.
    lib().libbpf_set_print(c.cast(_printer, P))
    previous, _log = _log, []
    try:
        yield _log
    finally:
        _log = previous


def last_errno() -> int:
    """Errno of the last libbpf call of this thread."""
    return c.get_errno()


def errno_text(number: int) -> str:
    """``EPERM (Operation not permitted)``."""
    return f"{errno.errorcode.get(number, number)} ({os.strerror(number)})"


def not_permitted(what: str, number: int) -> NotPermittedError:
    """Return the error for EPERM and EACCES of the bpf and perf_event_open system calls."""
    why = f"{errno_text(number)}: the kernel refuses it"
    if privileges.may_load():
        mode = privileges.lockdown()
        return NotPermittedError(
            what,
            why=f"{why}, though this user has the capabilities; lockdown is {mode or '?'}.",
            advice=privileges.LOCKED_DOWN
            if mode == privileges.CONFIDENTIALITY
            else "A container or a security module may forbid it: `workbench doctor` says what "
            "is missing.",
        )
    return NotPermittedError(
        what,
        why=f"{why} to this user.",
        advice="Run as root or with CAP_BPF and CAP_PERFMON; `workbench doctor` says what is "
        "missing. Recorded sessions open without any privilege.",
    )
