"""The format of a tracepoint's record, as tracefs tells it.

A line is ``field:TYPE NAME;	offset:N;	size:N;	signed:N;`` (kernel/trace/trace_events.c,
``f_show``). ``__data_loc TYPE[] NAME`` is a word: the offset of the content in the record in its
lower half, its length in the upper one (Documentation/trace/ftrace.rst).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from workbench.ctype import ARRAY, CHAR, INT, VOID, CType, pointer_to
from workbench.probing.operands import KERNEL, TEXT_AT, Operand

_LINE = re.compile(
    r"\tfield:(?P<decl>[^;]+);\toffset:(?P<offset>\d+);\tsize:(?P<size>\d+);(\tsigned:(?P<signed>\d);)?"
)
_DECLARATION = re.compile(r"(?P<type>.*?)\s*(?P<name>\w+)(\[(?P<count>[^\]]*)\])?$")
_NARROW = {
    **dict.fromkeys(("int", "pid_t", "clockid_t", "key_t", "timer_t"), (4, True)),
    **dict.fromkeys(("unsigned int", "unsigned", "u32", "uid_t", "gid_t", "qid_t"), (4, False)),
    **dict.fromkeys(("umode_t", "unsigned short", "old_uid_t", "old_gid_t"), (2, False)),
    **dict.fromkeys(("long", "off_t", "loff_t"), (8, True)),
}
"""Sizes and signs of types that the tracepoints of system calls have in fields of 8 bytes."""


@dataclass(frozen=True)
class Format:
    """The fields that can be read, and why others cannot, by name."""

    operands: dict[str, Operand]
    reasons: dict[str, str]


def parse(text: str, leads: str, origin: str) -> Format:
    """Return the fields of a tracepoint, in the order of its record."""
    operands: dict[str, Operand] = {}
    reasons: dict[str, str] = {}
    for line in text.splitlines():
        found = _LINE.match(line)
        parts = _DECLARATION.match(found["decl"]) if found else None
        if found is None or parts is None:
            continue
        name, declared = parts["name"], parts["type"]
        offset, size = int(found["offset"]), int(found["size"])
        kind, read = _type(declared, parts["count"], size, found["signed"] == "1")
        if kind is None:
            reasons[name] = f"its type {found['decl'].rsplit(' ', 1)[0]} has no fixed place"
            continue
        operands[name] = Operand(
            "context", kind, name, (offset,), (KERNEL,), leads, read=read, origin=origin
        )
    return Format(operands, reasons)


def _type(  # noqa: PLR0911 - one way out per form
    declared: str, count: str | None, size: int, signed: bool
) -> tuple[CType | None, str]:
    bare = declared.replace("const ", "").replace("volatile ", "").strip()
    if declared.startswith("__data_loc"):
        is_text = bare.removeprefix("__data_loc").strip() in ("char[]", "char []")
        return (CType(ARRAY, "char[]", 0, target=lambda: CHAR), TEXT_AT) if is_text else (None, "")
    if declared.startswith("__rel_loc"):
        return None, ""
    if count is not None:
        if bare == "char":
            return CType(ARRAY, f"char[{size}]", size, count=size, target=lambda: CHAR), ""
        number = int(count) if count.isdigit() and int(count) else 1
        inner = CType(INT, bare, size // number, signed)
        return CType(ARRAY, f"{bare}[{number}]", size, count=number, target=lambda: inner), ""
    if bare.endswith("*"):
        is_text = bare.removesuffix("*").strip() == "char"
        return pointer_to(CHAR if is_text else CType(VOID, "void", 0), declared), ""
    if size == 8 and bare in _NARROW:  # registers of system calls, of which less is meant
        return CType(INT, declared, *_NARROW[bare]), ""
    if size in (1, 2, 4, 8):
        return CType(INT, declared, size, signed), ""
    return None, ""
