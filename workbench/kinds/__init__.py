"""Capture kinds: one file of declarations per kind; adding the file registers it."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any

from workbench.errors import ParameterError, UnknownKindError
from workbench.kinds._kind import OBJECTS, Aggregation, CaptureKind, Parameter
from workbench.kinds._own_probe import NAME, own_probe
from workbench.kinds._table import kinds_table
from workbench.schema import SIDE_TABLES

__all__ = [
    "OBJECTS",
    "SIDE_TABLES",
    "Aggregation",
    "CaptureKind",
    "Parameter",
    "all_kinds",
    "find",
    "own_probe",
    "register",
]


@cache
def all_kinds() -> dict[str, CaptureKind]:
    """All kinds by name, sorted."""
    kinds = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        if not module.startswith("_"):
            kind = importlib.import_module(f"{__name__}.{module}").KIND
            kinds[kind.name] = kind
    return kinds


def find(name: str, parameters: Mapping[str, Any] | None = None) -> CaptureKind:
    """Return the kind of that name.

    Parameters
    ----------
    parameters : mapping, optional
        What it is to be captured with: ``probe`` among it makes one of the user's own probes
        of it, whose name is free.

    Raises
    ------
    UnknownKindError
    ParameterError
        A probe has the name of a kind or of another table.
    """
    if parameters is not None and "probe" in parameters:
        if name in all_kinds() or name in SIDE_TABLES or not NAME.fullmatch(name):
            raise ParameterError(
                f"A probe cannot be named {name!r}.",
                why="a table has that name, or it is not made of small letters, digits and _",
                advice="Give another one with name=.",
            )
        return own_probe(name)
    if name not in all_kinds():
        raise UnknownKindError(
            f"There is no capture kind {name!r}.",
            why=f"These exist: {', '.join(all_kinds())}.",
            advice="`workbench kinds` tells what each answers.",
        )
    return all_kinds()[name]


def register(kind: CaptureKind) -> None:
    """Add a kind for this process, with an object of its own.

    Raises
    ------
    ParameterError
        The name is taken.
    """
    if kind.name in all_kinds():
        raise ParameterError(f"There is a capture kind {kind.name!r} already.")
    all_kinds()[kind.name] = kind


class _CallableModule(ModuleType):
    """`wb.kinds()` is part of the public API, and `workbench.kinds` is this package: one name."""

    def __call__(self) -> Any:
        return kinds_table(all_kinds().values())


sys.modules[__name__].__class__ = _CallableModule
