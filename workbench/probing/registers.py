"""Where a function's arguments are when it begins, by the rules of the platform.

x86-64: System V ABI, "Parameter Passing"; arm64: Procedure Call Standard for the Arm 64-bit
Architecture, "Parameter passing". Offsets are those of ``struct pt_regs`` in
arch/x86/include/uapi/asm/ptrace.h, and of ``struct user_pt_regs`` in arch/arm64/.../ptrace.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from workbench.ctype import FLOAT, INT, POINTER, STRUCT, WORD, CType, Function
from workbench.errors import UnsupportedKernelError
from workbench.probing.operands import EITHER, KERNEL, Operand

_X86_NAMES = (
    "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss"
)
_X86_PARTS = {
    "rax": ("eax", "ax", "al"),
    "rbx": ("ebx", "bx", "bl"),
    "rcx": ("ecx", "cx", "cl"),
    "rdx": ("edx", "dx", "dl"),
    "rsi": ("esi", "si", "sil"),
    "rdi": ("edi", "di", "dil"),
    "rbp": ("ebp", "bp", "bpl"),
    "rsp": ("esp", "sp", "spl"),
    **{f"r{n}": (f"r{n}d", f"r{n}w", f"r{n}b") for n in range(8, 16)},
}


@dataclass(frozen=True)
class Registers:
    """The registers of a machine.

    Parameters
    ----------
    offsets : mapping of str to int
        Where each register is in the program's context, by all its names.
    arguments : tuple of str
        Those that hold the first whole numbers and pointers.
    returns : str
    stack : str
        The stack pointer.
    on_stack : int
        Bytes from it to the first argument that is in memory, at a function's first
        instruction: x86-64 has the return address before them.
    at_return : int
        From its value after the return to that at the first instruction.
    """

    offsets: Mapping[str, int]
    arguments: tuple[str, ...]
    returns: str
    stack: str
    on_stack: int
    at_return: int

    def read(self, name: str, kind: CType = WORD, leads: str = EITHER, text: str = "") -> Operand:
        """Return the operand that reads a register."""
        return Operand("context", kind, text or name, (self.offsets[name],), (KERNEL,), leads)


def _x86() -> Registers:
    offsets = {name: 8 * i for i, name in enumerate(_X86_NAMES.split())}
    for name, parts in _X86_PARTS.items():
        offsets |= dict.fromkeys(parts, offsets[name])
    first = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
    return Registers(offsets, first, "rax", "rsp", on_stack=8, at_return=-8)


def _arm64() -> Registers:
    offsets = {f"{letter}{n}": 8 * n for n in range(31) for letter in "xw"}
    offsets |= {"sp": 8 * 31, "pc": 8 * 32}
    return Registers(offsets, tuple(f"x{n}" for n in range(8)), "x0", "sp", 0, 0)


MACHINES = {"x86_64": _x86(), "aarch64": _arm64()}


def registers(machine: str) -> Registers:
    """Return the registers of a machine.

    Raises
    ------
    UnsupportedKernelError
    """
    if machine not in MACHINES:
        raise UnsupportedKernelError(f"Probes do not know the registers of {machine}.")
    return MACHINES[machine]


@dataclass(frozen=True)
class Arguments:
    """The arguments that can be read, and why others cannot, by name."""

    operands: Mapping[str, Operand]
    reasons: Mapping[str, str]


def in_registers(function: Function, machine: Registers, leads: str, origin: str) -> Arguments:
    """Return where the arguments are at a function's first instruction."""
    operands: dict[str, Operand] = {}
    reasons: dict[str, str] = {}
    left = list(machine.arguments)
    slot = machine.on_stack
    for name, kind in function.parameters:
        words = -(-kind.size // 8)
        if kind.kind == FLOAT:
            reasons[name] = "it is a floating-point number, whose registers probes cannot read"
            slot += 16 if kind.size > 8 else 0  # long double lies in memory
        elif kind.kind in (INT, POINTER) and kind.size <= 8 and left:
            operands[name] = machine.read(left.pop(0), kind, leads, name)
        elif kind.kind == STRUCT and words <= 2 and not _whole(kind):
            reasons[name] = f"{kind.name} is passed in registers that depend on its members"
        elif (kind.kind == STRUCT and words > 2) or words > len(left):
            operands[name] = _on_stack(machine, slot, kind, leads, name)
            slot += 8 * max(words, 1)
        elif words == 1:
            operands[name] = machine.read(left.pop(0), kind, leads, name)
        else:
            del left[:words]
            reasons[name] = f"{kind.name} is passed in {words} registers"
    found = {n: _with_origin(operand, origin) for n, operand in operands.items()}
    return Arguments(found, reasons)


def in_a_row(function: Function, leads: str, origin: str) -> tuple[Arguments, int]:
    """Return where a trampoline or a raw tracepoint has the arguments, and where they end."""
    operands: dict[str, Operand] = {}
    at = 0
    for name, kind in function.parameters:
        operand = Operand("context", kind, name, (at,), (KERNEL,), leads)
        operands[name] = _with_origin(operand, origin)
        at += 8 * max(1, -(-kind.size // 8))
    return Arguments(operands, {}), at


def _on_stack(machine: Registers, slot: int, kind: CType, leads: str, name: str) -> Operand:
    chain = (machine.offsets[machine.stack], slot)
    return Operand("context", kind, name, chain, (KERNEL, leads), leads)


def _whole(struct: CType) -> bool:
    """Whether all members of a struct are whole numbers or pointers."""
    members = struct.members() if struct.members is not None else {}
    kinds = [member.type() for member in members.values()]
    return bool(kinds) and all(
        _whole(kind) if kind.kind == STRUCT else kind.kind in (INT, POINTER) for kind in kinds
    )


def _with_origin(operand: Operand, origin: str) -> Operand:
    from dataclasses import replace

    return replace(operand, origin=origin)
