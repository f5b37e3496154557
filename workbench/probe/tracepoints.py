"""What the running kernel's BTF says of its tracepoints and per-CPU variables.

libbpf reads it: parsing all of it in Python takes a second.
"""

from __future__ import annotations

import ctypes as c
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING

from workbench.probe import btf as b
from workbench.probe.clib import lib

if TYPE_CHECKING:
    from collections.abc import Iterator

# struct btf_type, include/uapi/linux/btf.h: three words; info is vlen in bits 0-15 and the kind
# in bits 24-28; the third word is the type that a typedef or pointer stands for. Behind that of a
# section come its variables, struct btf_var_secinfo: type, offset, size.
_WORDS = c.c_uint32 * 3


def argument_count(name: str) -> int:
    """Return how many arguments programs on ``tp_btf/NAME`` get; 0 where it does not exist.

    A tracepoint's typedef ``btf_trace_NAME`` is a pointer to a function whose first parameter
    is not one of the arguments (``__data``, include/trace/bpf_probe.h).
    """
    with _kernel_btf() as btf:
        found = _find(btf, f"btf_trace_{name}", b.TYPEDEF)
        if not found:
            return 0
        for _ in range(2):  # typedef, pointer
            found = _words(btf, found)[2]
        return max(0, (_words(btf, found)[1] & 0xFFFF) - 1)


@cache
def per_cpu_offsets(*names: str) -> dict[str, int]:
    """Return where per-CPU variables of the kernel lie in their section, those that exist."""
    with _kernel_btf() as btf:
        section = _find(btf, ".data..percpu", b.DATASEC)
        wanted = {_find(btf, name, b.VAR): name for name in names}
        if not section:
            return {}
        count = _words(btf, section)[1] & 0xFFFF
        address = lib().btf__type_by_id(btf, section) + c.sizeof(_WORDS)
        variables = (_WORDS * count).from_address(address)
        return {wanted[number]: offset for number, offset, _ in variables if number in wanted}


def enum_values(name: str) -> dict[str, int]:
    """Return the names and values of an enum of the kernel; none where it does not exist.

    Values of up to 32 bits: those of a ``BTF_KIND_ENUM`` (Documentation/bpf/btf.rst, 2.2.6).
    """
    with _kernel_btf() as btf:
        found = _find(btf, name, b.ENUM)
        if not found:
            return {}
        count = _words(btf, found)[1] & 0xFFFF
        address = lib().btf__type_by_id(btf, found) + c.sizeof(_WORDS)
        pairs = (c.c_uint32 * 2 * count).from_address(address)
        return {lib().btf__name_by_offset(btf, at).decode(): value for at, value in pairs}


@contextmanager
def _kernel_btf() -> Iterator[int]:
    btf = lib().btf__load_vmlinux_btf()
    try:
        yield btf or 0
    finally:
        lib().btf__free(btf)


def _find(btf: int, name: str, kind: int) -> int:
    """Return the number of a type, 0 where there is none."""
    return max(0, lib().btf__find_by_name_kind(btf, name.encode(), kind)) if btf else 0


def _words(btf: int, number: int) -> tuple[int, int, int]:
    first, second, third = _WORDS.from_address(lib().btf__type_by_id(btf, number))
    return first, second, third


def has(name: str) -> bool:
    """Whether the kernel has a tracepoint of that name for ``raw_tp`` and ``tp_btf`` programs."""
    with _kernel_btf() as btf:
        return bool(_find(btf, f"btf_trace_{name}", b.TYPEDEF))


def has_function(name: str) -> bool:
    """Whether the kernel's BTF has a function of that name, for ``fentry`` and ``fexit``."""
    with _kernel_btf() as btf:
        return bool(_find(btf, name, b.FUNC))


def similar(name: str, count: int = 5, cutoff: float = 0.5) -> list[str]:
    """Names of the tracepoints that are most like a name; ``cutoff`` as difflib has it."""
    names = all_names()
    holding = [each for each in names if name in each] if len(name) > 2 else []
    close = get_close_matches(name, names, count, cutoff)
    return list(dict.fromkeys([*holding, *close]))[:count]


@cache
def all_names() -> tuple[str, ...]:
    """Names of all tracepoints of the kernel, without their categories."""
    prefix = "btf_trace_"
    with _kernel_btf() as btf:
        if not btf:
            return ()
        found = []
        for number in range(1, lib().btf__type_cnt(btf)):
            name, info, _ = _words(btf, number)
            if info >> 24 & 0x1F == b.TYPEDEF:
                text = lib().btf__name_by_offset(btf, name).decode()
                if text.startswith(prefix):
                    found.append(text.removeprefix(prefix))
    return tuple(sorted(found))
