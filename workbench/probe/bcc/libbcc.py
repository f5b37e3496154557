"""libbcc.so.0 through ctypes: what compiles, loads and attaches.

BCC's own Python module leaves some of these without prototypes, prints the verifier's log to
stderr instead of giving it, and keeps every program until Python ends.
"""

from __future__ import annotations

import ctypes as c
from functools import cache
from typing import Any

from workbench.errors import UnsupportedKernelError
from workbench.probe.bcc.finder import INSTALL

P = c.c_void_p
S = c.c_char_p
I = c.c_int  # noqa: E741 - one letter a type keeps the table below readable
U = c.c_uint
Z = c.c_size_t
L = c.c_uint64

_PROTOTYPES: dict[str, tuple[Any, ...]] = {
    # name: (result, arguments...); src/cc/bpf_module.h, bcc_common.h and libbpf.h of BCC 0.26
    "bpf_module_create_c_from_string": (P, S, U, P, I, c.c_bool, S),
    "bpf_module_destroy": (None, P),
    "bpf_module_license": (S, P),
    "bpf_module_kern_version": (U, P),
    "bpf_num_functions": (Z, P),
    "bpf_function_name": (S, P, Z),
    "bpf_function_start": (P, P, S),
    "bpf_function_size": (Z, P, S),
    "bpf_num_tables": (Z, P),
    "bpf_table_name": (S, P, Z),
    "bpf_table_fd_id": (I, P, Z),
    "bpf_table_key_desc": (S, P, S),
    "bpf_table_leaf_desc": (S, P, S),
    "bpf_perf_event_fields": (Z, P, S),
    "bpf_perf_event_field": (S, P, S, Z),
    "bcc_func_load": (I, P, I, S, P, I, S, U, I, S, U, S, I),
    "bpf_attach_kprobe": (I, I, I, S, S, L, I),
    "bpf_detach_kprobe": (I, S),
    "bpf_attach_uprobe": (I, I, I, S, S, L, I, U),
    "bpf_detach_uprobe": (I, S),
    "bpf_attach_tracepoint": (I, I, S, S),
    "bpf_detach_tracepoint": (I, S, S),
    "bpf_attach_raw_tracepoint": (I, I, S),
    "bpf_attach_kfunc": (I, I),
    "bpf_attach_lsm": (I, I),
    "bpf_attach_perf_event": (I, I, U, U, L, L, I, I, I),
    "bpf_close_perf_event_fd": (I, I),
    "bcc_resolve_symname": (I, S, S, L, I, P, P),
    "bcc_procutils_which_so": (P, S, I),
    "bcc_procutils_free": (None, P),
    "bcc_usdt_new_frompid": (P, I, S),
    "bcc_usdt_new_frompath": (P, S),
    "bcc_usdt_enable_probe": (I, P, S, S),
    "bcc_usdt_enable_fully_specified_probe": (I, P, S, S, S),
    "bcc_usdt_genargs": (S, P, I),
    "bcc_usdt_foreach_uprobe": (None, P, P),
}


class Symbol(c.Structure):
    """``struct bcc_symbol``, src/cc/bcc_syms.h of BCC 0.26."""

    _fields_ = (
        ("name", S),
        ("demangle_name", S),
        ("module", P),
        ("offset", c.c_uint64),
    )


UPROBE_CALLBACK = c.CFUNCTYPE(None, S, S, c.c_uint64, c.c_int)
"""``bcc_usdt_uprobe_cb``: path, function, address, pid."""


@cache
def lib() -> Any:
    """Return libbcc with the prototypes set.

    Raises
    ------
    UnsupportedKernelError
        It is not installed.
    """
    try:
        library = c.CDLL("libbcc.so.0", use_errno=True)
    except OSError as error:
        raise UnsupportedKernelError(
            "BCC is not installed.", why=str(error), advice=INSTALL
        ) from error
    for name, (result, *arguments) in _PROTOTYPES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
