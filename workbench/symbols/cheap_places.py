"""Where at the start of a function a uprobe costs least.

A uprobe replaces an instruction by a breakpoint. Afterwards the kernel carries that instruction
out: a few kinds it emulates, all others run out of line with a second trap, a single step. That
one is the dear part: in a virtual machine a probe on ``test %rdi,%rdi`` was measured at 10 µs, one
on ``push`` or a branch at 0.5 µs. So a probe that may sit a few instructions further in, with the
arguments and the stack pointer as they were at the entry, sits on one that is emulated.

Sources: ``branch_setup_xol_ops()`` and ``push_setup_xol_ops()``, arch/x86/kernel/uprobes.c (Linux
4.18 on), for what is emulated; Intel's Software Developer's Manual, volume 2, for the encodings.
"""

from __future__ import annotations

from workbench.elf_format import EM_X86_64

MAX_SKIPPED = 4
LOOKED_AT = 32
"""Bytes of a function that are enough to find its place."""
_ENDBR64 = b"\xf3\x0f\x1e\xfa"
THREE = frozenset({2, 4, 6, 7})
"""Numbers of the registers rdx, rsp, rsi and rdi: the first three arguments, and the stack."""
ALL = THREE | {1, 8, 9}
"""rcx, r8 and r9 as well: all arguments that come in registers (System V ABI, 3.2.3)."""


def cheap_place(code: bytes, machine: int, kept: frozenset[int] = THREE) -> int:
    """Return how far into a function a probe at its entry is to be put.

    Parameters
    ----------
    code : bytes
        The function's first :data:`LOOKED_AT` bytes.
    machine : int
        ``e_machine`` of its file.
    kept : frozenset of int
        Registers that must not have been written to: :data:`THREE` or :data:`ALL`.

    Returns
    -------
    int
        Bytes behind the entry. The arguments and the stack pointer are still those of the caller
        there, and each call passes once. 0 where the entry is best, or nothing better is
        known.
    """
    if machine != EM_X86_64 or _emulated(code):
        return 0
    at, last = 0, b""
    for skipped in range(MAX_SKIPPED):
        size = _harmless(code[at:], kept)
        if not size:
            return 0
        last, at = code[at : at + size], at + size
        rest = code[at:]
        if _is_push(rest):
            return at
        # A jump belongs to a comparison. Further in it might end a loop, which comes by often.
        first = skipped == (1 if code.startswith(_ENDBR64) else 0)
        if first and _compares(last) and _is_branch(rest):
            return at
    return 0


def _emulated(code: bytes) -> bool:
    # nop, jmp, call
    return _is_push(code) or _is_branch(code) or code[:1] in (b"\x90", b"\xeb", b"\xe9", b"\xe8")


def _is_push(code: bytes) -> bool:
    if code[:1] == b"\x41":
        code = code[1:]
    return bool(code) and 0x50 <= code[0] <= 0x57


def _is_branch(code: bytes) -> bool:
    """Whether it begins with a conditional jump."""
    if code[:1] == b"\x0f":
        return len(code) > 1 and 0x80 <= code[1] <= 0x8F
    return bool(code) and 0x70 <= code[0] <= 0x7F


def _compares(code: bytes) -> bool:
    """Whether an instruction that :func:`_harmless` knows is a test or a comparison."""
    return code[-2:-1] == b"\x85" or code[1:2] == b"\x83"


def _harmless(code: bytes, kept: frozenset[int]) -> int:
    """Return the size of the first instruction if it may run before the probe, else 0.

    Those that compilers begin functions with: ``endbr64``, and between registers ``test``,
    ``mov`` and ``xor``, ``cmp`` with a small number.
    """
    if code.startswith(_ENDBR64):
        return len(_ENDBR64)
    prefix = code[0] if code and 0x40 <= code[0] <= 0x4F else 0
    at = 1 if prefix else 0
    if len(code) < at + 3 or code[at + 1] < 0xC0:  # an operand in memory
        return 0
    operation, fields = code[at], code[at + 1]
    written = (fields & 7) | (8 if prefix & 1 else 0)
    if operation == 0x85:
        return at + 2
    if operation == 0x83 and fields & 0x38 == 0x38:
        return at + 3
    if operation in (0x89, 0x31) and written not in kept:
        return at + 2
    return 0
