"""What the user asks of a probe, checked as far as that goes without the kernel."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.errors import ParameterError
from workbench.probing.points import Point, parse

ALL = "*"
"""Stands for all arguments, where fields are named."""
RESERVED = {
    *("ts", "pid", "tid", "cpu", "comm", "weight", "errno", "nr", "ret", "name"),
    *("latency", "calls", "errors", "latency_sum"),
    *("stack_id", "stack_status", "words", "kernel_depth", "user_depth", "python_depth"),
    *("count", "unreadable", "pad", "pad_missing"),
}
"""Columns that tables have, or get, by themselves."""
BASE = ("ts", "pid", "tid", "cpu", "comm")
_NAME = re.compile(r"[A-Za-z_]\w*")
_LAST = re.compile(r"([A-Za-z_]\w*)\W*$")


@dataclass(frozen=True)
class Request:
    """A probe as it was asked for.

    Parameters
    ----------
    point : Point
    fields : tuple of str or None
        Expressions, or ``NAME=EXPRESSION``; None for all arguments.
    filter : str
    figures : tuple of str
        ``sum(size)`` and the like.
    aggregate : bool
        Count in groups instead of sending events.
    by : tuple of str
        Fields that make the groups.
    latency : bool
        Wait for the function's return and tell how long it took.
    string_size : int
        Bytes for texts.
    """

    point: Point
    fields: tuple[str, ...] | None = None
    filter: str = ""
    figures: tuple[str, ...] = ()
    aggregate: bool = False
    by: tuple[str, ...] = ()
    latency: bool = False
    string_size: int = 64

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Request:
        """Return the request that the parameters of the kind ``probe`` are.

        Raises
        ------
        ParameterError
        """
        fields, wanted = tuple(parameters["fields"]), tuple(parameters["aggregate"])
        by = tuple(parameters["by"])
        aggregate = bool(wanted or by)
        if aggregate and (fields or parameters["stacks"]):
            what = "fields" if fields else "stacks"
            raise ParameterError(
                f"Groups have no {what}.",
                advice="Name the fields that make the groups in by=, or leave out aggregate.",
            )
        return cls(
            parse(parameters["probe"]),
            None if ALL in fields or not fields else fields,
            parameters["filter"],
            tuple(text for text in wanted if text != "count"),
            aggregate,
            by,
            parameters["latency"],
            parameters["string_size"],
        )

    def named(self, fields: Sequence[str]) -> list[tuple[str, str]]:
        """Return (column, expression) pairs.

        Raises
        ------
        ParameterError
            Two columns have one name, or a name is none.
        """
        pairs: list[tuple[str, str]] = []
        for text in fields:
            name, equals, expression = text.partition("=")
            given = bool(equals and _NAME.fullmatch(name.strip())) and expression[:1] != "="
            if given:
                name, expression = name.strip(), expression.strip()
            else:
                name, expression = column_name(text), text.strip()
            if expression in BASE and not given:
                if not self.aggregate:
                    continue  # every event has it
                name = expression
            elif name in RESERVED and not name == expression == "latency":
                if given:
                    raise ParameterError(f"No field can be named {name}: tables have that already.")
                name = f"arg_{name}"
            if name in dict(pairs):
                raise ParameterError(
                    f"Two fields are named {name}.", advice=f"Give names: other=({expression})."
                )
            pairs.append((name, expression))
        return pairs


def column_name(expression: str) -> str:
    """Return a name for a field: the last name in its expression."""
    inner = expression.strip()
    while inner.endswith(")") and "(" in inner:
        inner = inner.partition("(")[2][:-1].partition(",")[0].strip()
    index = re.search(r"\[(\d+)\]$", inner)
    found = _LAST.search(inner.partition("[")[0].partition(" ")[0])
    name = found[1] if found else "value"
    return f"{name}_{index[1]}" if index else name


def texts(value: Any, what: str) -> tuple[str, ...]:
    """Return fields that were given as a text, a sequence or a mapping of name to expression.

    Raises
    ------
    ParameterError
    """
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Mapping):
        value = [f"{name}={expression}" for name, expression in value.items()]
    try:
        found = tuple(value)
    except TypeError:
        found = (None,)
    if not all(isinstance(each, str) for each in found):
        raise ParameterError(
            f"{what} cannot be {value!r}.",
            advice=f'Give {what}="size", {what}=["size", "str(path)"] or a dict of expressions.',
        )
    return found
