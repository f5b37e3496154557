"""Types of the running kernel, from its BTF: parameters of functions and tracepoints, structs.

libbpf maps the BTF; only the types that are asked for are read. Layout: ``struct btf_type`` of
include/uapi/linux/btf.h (Documentation/bpf/btf.rst). Types of modules are not looked up.
"""

from __future__ import annotations

import ctypes as c
from collections.abc import Callable, Mapping
from functools import cache

from workbench.ctype import (
    ARRAY,
    FLOAT,
    INT,
    NOTHING,
    POINTER,
    STRUCT,
    CType,
    Function,
    Member,
)
from workbench.probe import btf as b
from workbench.probe.clib import lib

_MODIFIERS = {b.VOLATILE, b.CONST, b.RESTRICT, b.TYPE_TAG}
_SIGNED, _CHAR = 1, 2  # BTF_INT_SIGNED, BTF_INT_CHAR
_HEAD = 12  # bytes of struct btf_type
MAX_CHAIN = 64
CHARS = ("char", "signed char")
"""Names of the types of which texts are made; ``unsigned char`` is any byte."""


class KernelTypes:
    """The BTF of the running kernel; use :func:`kernel_types`."""

    def __init__(self) -> None:
        self._btf = lib().btf__load_vmlinux_btf() or 0

    def function(self, name: str) -> Function | None:
        """Return the parameters of a function of the kernel; None where BTF has it not."""
        number = self._find(name, b.FUNC)
        return self._prototype(self._words(number)[2], 0) if number else None

    def tracepoint(self, name: str) -> Function | None:
        """Return the arguments of a tracepoint, as programs on ``raw_tp`` get them.

        The typedef ``btf_trace_NAME`` is a pointer to a function whose first parameter is not
        one of them (``__data``, include/trace/bpf_probe.h). It has no names; the function that
        calls what is attached has them (``__traceiter_NAME``, Linux 5.10).
        """
        caller = self._find(f"__traceiter_{name}", b.FUNC)
        if caller:
            return self._prototype(self._words(caller)[2], 1)
        number = self._find(f"btf_trace_{name}", b.TYPEDEF)
        if not number:
            return None
        pointer = self._words(number)[2]
        return self._prototype(self._words(pointer)[2], 1)

    def struct(self, name: str) -> CType | None:
        """Return a struct."""
        number = self._find(name, b.STRUCT)
        return self.type(number) if number else None

    def _find(self, name: str, kind: int) -> int:
        if not self._btf:
            return 0
        return max(0, int(lib().btf__find_by_name_kind(self._btf, name.encode(), kind)))

    def _at(self, number: int) -> int:
        return int(lib().btf__type_by_id(self._btf, number) or 0)

    def _words(self, number: int, at: int = 0, count: int = 3) -> tuple[int, ...]:
        """Return words of a type's description, from byte ``at`` on."""
        return tuple((c.c_uint32 * count).from_address(self._at(number) + at))

    def _text(self, offset: int) -> str:
        return str((lib().btf__name_by_offset(self._btf, offset) or b"").decode())

    def _prototype(self, number: int, skip: int) -> Function | None:
        _, info, returns = self._words(number)
        if info >> 24 & 0x1F != b.FUNC_PROTO:
            return None
        words = self._words(number, _HEAD, 2 * (info & 0xFFFF))
        pairs = list(zip(words[::2], words[1::2], strict=True))[skip:]
        if pairs and pairs[-1] == (0, 0):  # ...
            pairs.pop()
        named = [(self._text(name) or f"arg{i}", kind) for i, (name, kind) in enumerate(pairs)]
        return Function(tuple((name, self.type(kind)) for name, kind in named), self.type(returns))

    def type(self, number: int) -> CType:
        """Return the type of a number, without typedefs and modifiers."""
        alias = ""
        for _ in range(MAX_CHAIN):
            if not number:
                return NOTHING
            name, info, target = self._words(number)
            kind = info >> 24 & 0x1F
            if kind == b.TYPEDEF:
                alias = alias or self._text(name)
            elif kind not in _MODIFIERS:
                return self._type(number, kind, alias or self._text(name))
            number = target
        return NOTHING

    def _type(self, number: int, kind: int, name: str) -> CType:  # noqa: PLR0911 - a way per kind
        _, info, third = self._words(number)
        if kind == b.INT:
            encoding = self._words(number, _HEAD, 1)[0] >> 24
            plain = self._text(self._words(number)[0])
            char = third == 1 and (plain in CHARS or bool(encoding & _CHAR))
            return CType(INT, name, third, bool(encoding & _SIGNED), char)
        if kind in (b.ENUM, b.ENUM64):
            return CType(INT, name or "enum", third, signed=bool(info >> 31))
        if kind == b.PTR:
            target = self.type(third)
            shown = name or f"{target.name} *"
            return CType(POINTER, shown, 8, target=lambda: target)
        if kind == b.ARRAY:
            element, _, count = self._words(number, _HEAD)
            inner = self.type(element)
            shown = name or f"{inner.name}[{count}]"
            return CType(
                ARRAY, shown, inner.size * count, count=count, target=lambda: self.type(element)
            )
        if kind in (b.STRUCT, b.UNION):
            shown = name or ("struct" if kind == b.STRUCT else "union")
            return CType(STRUCT, shown, third, members=lambda: self._members(number))
        if kind == b.FWD:
            return CType(STRUCT, name, 0, members=dict)
        if kind == b.FLOAT:
            return CType(FLOAT, name, third)
        return NOTHING

    def _members(self, number: int, shift: int = 0) -> Mapping[str, Member]:
        info = self._words(number)[1]
        words = self._words(number, _HEAD, 3 * (info & 0xFFFF))
        found: dict[str, Member] = {}
        for name, kind, place in zip(words[::3], words[1::3], words[2::3], strict=True):
            bits, offset = (place >> 24, place & 0xFFFFFF) if info >> 31 else (0, place)
            if name:
                found[self._text(name)] = Member(self._later(kind), shift + offset, bits)
            else:
                found |= self._members(self._bare(kind), shift + offset)
        return found

    def _later(self, number: int) -> Callable[[], CType]:
        return lambda: self.type(number)

    def _bare(self, number: int) -> int:
        """Return the struct that a typedef or a modifier stands for."""
        for _ in range(MAX_CHAIN):
            _, info, target = self._words(number)
            if info >> 24 & 0x1F not in (*_MODIFIERS, b.TYPEDEF):
                break
            number = target
        return number


@cache
def kernel_types() -> KernelTypes:
    """Return the types of the running kernel, loaded at the first call."""
    return KernelTypes()
