"""Names, numbers and arguments of system calls, for x86-64 and arm64.

The data is ``data/syscalls.tsv``, which ``data/make_syscalls.py`` makes from the kernel's own
headers and tracepoints; it holds every call up to Linux 6.18. Numbers are those of 64-bit tasks:
32-bit tasks on the same kernel use other tables (``arch/x86/entry/syscalls/syscall_32.tbl``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from workbench.errors import UnsupportedKernelError

MACHINES = ("x86_64", "aarch64")
"""Machines as ``os.uname().machine`` names them."""

LIMIT = 512
"""Length of the tables: the kernel's numbers end below it (x32 numbers start there)."""

UNKNOWN_ARGUMENTS = tuple(f"arg{register}" for register in range(6))
"""Stands for the arguments of calls that nobody knows: all six registers may be used."""

_PATH = Path(__file__).parent / "data" / "syscalls.tsv"


@dataclass(frozen=True)
class _Call:
    name: str
    number: int
    arguments: tuple[str, ...]


def name_of(machine: str) -> list[str]:
    """Return the names of system calls by number.

    Parameters
    ----------
    machine : str
        One of :data:`MACHINES`.

    Returns
    -------
    list of str
        `LIMIT` names; numbers without a call are named ``syscall_<number>``.

    Raises
    ------
    UnsupportedKernelError
        No table for that machine.
    """
    names = [f"syscall_{number}" for number in range(LIMIT)]
    for call in _calls(machine):
        names[call.number] = call.name
    return names


def number_of(machine: str) -> dict[str, int]:
    """Return the number of each system call by name.

    Parameters
    ----------
    machine : str
        One of :data:`MACHINES`.

    Returns
    -------
    dict of str to int
        In the order of the numbers; gaps are not in it.

    Raises
    ------
    UnsupportedKernelError
        No table for that machine.
    """
    return {call.name: call.number for call in _calls(machine)}


def arguments_of(machine: str) -> list[tuple[str, ...]]:
    """Return the argument names of system calls by number, in the order of their registers.

    Registers beyond a call's arguments hold garbage and should not be shown.

    Parameters
    ----------
    machine : str
        One of :data:`MACHINES`.

    Returns
    -------
    list of tuple of str
        `LIMIT` tuples of up to six names; :data:`UNKNOWN_ARGUMENTS` for gaps and for calls that
        were never implemented.

    Raises
    ------
    UnsupportedKernelError
        No table for that machine.
    """
    arguments = [UNKNOWN_ARGUMENTS] * LIMIT
    for call in _calls(machine):
        arguments[call.number] = call.arguments
    return arguments


@cache
def _calls(machine: str) -> tuple[_Call, ...]:
    """Return the calls of one machine, sorted by number."""
    if machine not in MACHINES:
        raise UnsupportedKernelError(
            f"The system calls of the machine {machine!r} are not known.",
            why=f"There are tables for {' and '.join(MACHINES)} only.",
            advice="Capture on one of these machines, or add a column to workbench/data/"
            "syscalls.tsv with make_syscalls.py beside it.",
        )
    column = 1 + MACHINES.index(machine)
    calls = []
    for line in _PATH.read_text(encoding="ascii").splitlines():
        fields = line.split("\t")
        if len(fields) == 4 and fields[column].isdigit():
            calls.append(_Call(fields[0], int(fields[column]), _arguments(fields[3])))
    return tuple(sorted(calls, key=lambda call: call.number))


def _arguments(text: str) -> tuple[str, ...]:
    if text == "?":
        return UNKNOWN_ARGUMENTS
    return tuple(text.split(",")) if text else ()
