"""Capture kinds: one file of declarations per kind; adding the file registers it."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from functools import cache
from types import ModuleType
from typing import Any

from workbench.errors import ParameterError, UnknownKindError
from workbench.kinds._kind import OBJECTS, Aggregation, CaptureKind, Parameter

__all__ = ["OBJECTS", "Aggregation", "CaptureKind", "Parameter", "all_kinds", "find", "register"]


@cache
def all_kinds() -> dict[str, CaptureKind]:
    """All kinds by name, sorted."""
    kinds = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        if not module.startswith("_"):
            kind = importlib.import_module(f"{__name__}.{module}").KIND
            kinds[kind.name] = kind
    return kinds


def find(name: str) -> CaptureKind:
    """Return the kind of that name.

    Raises
    ------
    UnknownKindError
    """
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
        from workbench.diagnosis import kinds_table

        return kinds_table()


sys.modules[__name__].__class__ = _CallableModule
