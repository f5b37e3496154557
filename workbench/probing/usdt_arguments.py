"""Where the arguments of a static probe are: ``-4@%edi 8@-16(%rbp) 8@$7``.

SystemTap wiki, "UserSpaceProbeImplementation": each is ``SIZE@OPERAND``, the size in bytes and
negative for signed numbers, the operand as the assembler of the machine writes it. ``SIZEf@`` is
a floating-point number (GCC).
"""

from __future__ import annotations

import re
from dataclasses import replace

from workbench.ctype import INT, CType
from workbench.errors import AttachError
from workbench.probing.operands import KERNEL, USER, Operand
from workbench.probing.registers import Registers

_ARGUMENT = re.compile(r"(?:(?P<size>-?\d+)(?P<float>f)?@)?(?P<place>\[[^\]]*\]|\S+)")
_WHOLE = r"(?:0|[1-9]\d*)"
_NUMBER = rf"-?(?:0x[0-9a-fA-F]+|{_WHOLE})"
_X86_CONSTANT = re.compile(rf"\$(?P<value>{_NUMBER})")
_X86_REGISTER = re.compile(r"%(?P<name>\w+)")
_X86_MEMORY = re.compile(rf"(?P<offset>{_NUMBER}(?:[+-]{_WHOLE})*)?\(%(?P<name>\w+)\)")
_ARM_CONSTANT = re.compile(rf"#?(?P<value>{_NUMBER})")
_ARM_REGISTER = re.compile(r"(?P<name>[xw]\d+|sp)")
_ARM_MEMORY = re.compile(rf"\[\s*(?P<name>[xw]\d+|sp)\s*(?:,\s*#?(?P<offset>{_NUMBER})\s*)?\]")
ORIGIN = "the probe's note"


def parse(text: str, machine: Registers) -> list[Operand | str]:
    """Return the arguments; a text instead says why one cannot be read."""
    return [_argument(found, machine) for found in _ARGUMENT.finditer(text) if found["place"]]


def _argument(found: re.Match[str], machine: Registers) -> Operand | str:
    size = int(found["size"] or 8)
    if found["float"]:
        return "it is a floating-point number, whose registers probes cannot read"
    if abs(size) not in (1, 2, 4, 8):
        return f"its size is {abs(size)} bytes"
    kind = CType(INT, f"{'i' if size < 0 else 'u'}{8 * abs(size)}", abs(size), signed=size < 0)
    place = found["place"]
    arm = "x0" in machine.offsets
    constant = (_ARM_CONSTANT if arm else _X86_CONSTANT).fullmatch(place)
    if constant:
        return Operand("constant", kind, chain=(int(constant["value"], 0),), memory=(KERNEL,))
    register = (_ARM_REGISTER if arm else _X86_REGISTER).fullmatch(place)
    if register and register["name"] in machine.offsets:
        return replace(machine.read(register["name"], kind, USER), origin=ORIGIN)
    memory = (_ARM_MEMORY if arm else _X86_MEMORY).fullmatch(place)
    if memory and memory["name"] in machine.offsets:
        offset = sum(
            int(part, 0) for part in re.findall(r"[+-]?[0-9a-fA-Fx]+", memory["offset"] or "0")
        )
        chain = (machine.offsets[memory["name"]], offset)
        return Operand(
            "context", kind, chain=chain, memory=(KERNEL, USER), leads=USER, origin=ORIGIN
        )
    return f"its place {place} is none that probes can read"


def same_types(variants: list[list[Operand | str]]) -> list[list[Operand | str]]:
    """Give an argument one type at all places: where they differ, the widest, as 64 bits.

    Raises
    ------
    AttachError
        The places have different numbers of arguments.
    """
    if len({len(each) for each in variants}) > 1:
        raise AttachError(
            "The places of the probe have different numbers of arguments.",
            advice="Several probes of one name are meant: put a uprobe on the offset of one.",
        )
    made: list[list[Operand | str]] = [[] for _ in variants]
    for arguments in zip(*variants, strict=True):
        kinds = {(a.type.size, a.type.signed) for a in arguments if isinstance(a, Operand)}
        signed = any(sign for _, sign in kinds)
        wide = CType(INT, "i64" if signed else "u64", 8, signed)
        for argument, row in zip(arguments, made, strict=True):
            row.append(_widened(argument, wide) if len(kinds) > 1 else argument)
    return made


def _widened(argument: Operand | str, wide: CType) -> Operand | str:
    """Return an argument as 64 bits, cut from what is there by its own size and sign."""
    if isinstance(argument, str) or argument.source == "constant":
        return argument if isinstance(argument, str) else replace(argument, type=wide)
    own = argument.type
    bits = (0, 8 * own.size) if own.size < 8 else (0, 0)
    return replace(argument, type=replace(wide, signed=own.signed), bits=bits)
