"""What `wb.capture` is given, taken apart and checked, as a user may write it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from workbench import kinds as kind_registry
from workbench.errors import ParameterError, TargetError


def words_of(command: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the words of a command; none if there is no command.

    Raises
    ------
    ParameterError
        It is no command.
    """
    try:
        if isinstance(command, str):
            return tuple(shlex.split(command))
        return tuple(os.fsdecode(word) for word in command or ())
    except (TypeError, ValueError) as error:  # no sequence of texts; a quote without its end
        raise ParameterError(f"{command!r} is no command.", why=str(error)) from error


def check_target(
    pid: int | None,
    command: str | Sequence[str] | None,
    words: tuple[str, ...],
    cgroup: str | None,
    comm: str | None,
    system_wide: bool,
) -> None:
    """Refuse a target that is none, or several that exclude each other.

    Parameters
    ----------
    words : tuple of str
        Those of ``command``; the others are as :func:`workbench.client.capture` was given them.

    Raises
    ------
    ParameterError, TargetError
    """
    if pid is not None and command is not None:
        raise ParameterError("A capture has either a pid or a command, not both.")
    if command is not None and not words:
        raise TargetError("The command is empty.")
    if pid is not None and (isinstance(pid, bool) or not isinstance(pid, int) or pid <= 0):
        raise ParameterError(f"pid must be a process id, not {pid!r}.")
    if not system_wide and all(x is None for x in (pid, command, cgroup, comm)):
        raise ParameterError(
            "The capture has no target.",
            advice="Give pid=, command=, cgroup= or comm=; system_wide=True captures everything "
            "that runs on this machine.",
        )


def kinds_of(given: Any) -> dict[str, dict[str, Any]]:
    """Return the kinds that are named, each with parameters of its own.

    Parameters
    ----------
    given : str, sequence of str, or mapping of str to mapping
        ``"cpu,syscalls"`` names two.

    Raises
    ------
    ParameterError
        It is something else.
    """
    if isinstance(given, str):
        return {name.strip(): {} for name in given.split(",") if name.strip()}
    try:
        if isinstance(given, Mapping):
            return {name: dict(values) for name, values in given.items()}
        return {name: {} for name in given}
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"kinds cannot be {given!r}.",
            why=str(error),
            advice='Give "cpu", ["cpu", "syscalls"] or {"cpu": {"hz": 999}}.',
        ) from error


def with_parameters(
    chosen: dict[str, dict[str, Any]], parameters: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Give each parameter to the kinds that have it; return them.

    Raises
    ------
    ParameterError
        None of them has it.
    UnknownKindError
        There is no such kind.
    """
    for name, value in parameters.items():
        takers = [
            kind
            for kind, given in chosen.items()
            if name in {p.name for p in kind_registry.find(kind, given).parameters}
        ]
        if not takers:
            found = (kind_registry.find(kind, given) for kind, given in chosen.items())
            known = sorted({p.name for kind in found for p in kind.parameters})
            raise ParameterError(
                f"None of {', '.join(chosen)} has a parameter {name}.",
                why=f"They have {', '.join(known)}.",
            )
        for kind in takers:
            chosen[kind][name] = value
    return chosen
