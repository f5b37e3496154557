"""Checks of untrusted JSON values, small ones that are put together to large ones.

A check takes a value and the place where it stood, returns the value, and raises ValueError
with that place in its text. Nothing that a check has let through can be deeper than
:data:`MAX_DEPTH`, hold text that is no Unicode, or a number that is no 64-bit number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any, str], Any]

MAX_DEPTH = 8
MAX_ITEMS = 1 << 16
MAX_TEXT = 1 << 16
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
"""Names of kinds, tables and reasons: never a path, never a member outside the session."""


def integer(low: int, high: int) -> Check:
    """Return a check for integers in [low, high]."""

    def check(value: Any, where: str) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"{where}: an integer from {low} to {high} is expected")
        return value

    return check


def number(value: Any, where: str) -> float:
    """Check a finite number."""
    if type(value) not in (int, float) or not abs(value) < 1e300:  # NaN fails this, too
        raise ValueError(f"{where}: a finite number is expected")
    return float(value)


def text(limit: int = MAX_TEXT) -> Check:
    """Return a check for Unicode text of at most `limit` characters."""

    def check(value: Any, where: str) -> str:
        if not isinstance(value, str) or len(value) > limit:
            raise ValueError(f"{where}: a text of at most {limit} characters is expected")
        if not value.isascii():
            _encodable(value, where)
        return value

    return check


def _encodable(value: str, where: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{where}: a text with a lone surrogate") from None


def name(value: Any, where: str) -> str:
    """Check the name of a kind, a table or a reason."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise ValueError(f"{where}: {str(value)[:80]!r} is not a name")
    return value


def optional(check: Check) -> Check:
    """Return a check that lets None through."""
    return lambda value, where: None if value is None else check(value, where)


def array(check: Check, *, limit: int = MAX_ITEMS) -> Check:
    """Return a check for a list (or tuple) of at most `limit` items; gives a tuple."""

    def checked(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or len(value) > limit:
            raise ValueError(f"{where}: a list of at most {limit} items is expected")
        return tuple(check(item, f"{where}[{i}]") for i, item in enumerate(value))

    return checked


def table_of(check: Check, *, limit: int = MAX_ITEMS) -> Check:
    """Return a check for an object whose keys are names and whose values pass `check`."""

    def checked(value: Any, where: str) -> dict[str, Any]:
        items = _object(value, where, limit)
        return {name(key, where): check(item, f"{where}.{key}") for key, item in items.items()}

    return checked


def record(required: Mapping[str, Check], extra: Mapping[str, Check] | None = None) -> Check:
    """Return a check for an object with those keys; keys that are not known are left out."""
    checks = {**required, **(extra or {})}

    def checked(value: Any, where: str) -> dict[str, Any]:
        items = _object(value, where, MAX_ITEMS)
        missing = required.keys() - items.keys()
        if missing:
            raise ValueError(f"{where}: {', '.join(sorted(missing))} missing")
        return {key: checks[key](items[key], f"{where}.{key}") for key in checks if key in items}

    return checked


def tree(value: Any, where: str, depth: int = 0) -> Any:
    """Check any JSON value: bounded in depth, items, text and size of numbers."""
    if depth > MAX_DEPTH:
        raise ValueError(f"{where[:80]}: deeper than {MAX_DEPTH} levels")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return text()(value, where)
    if isinstance(value, int):
        return integer(-(1 << 63), (1 << 64) - 1)(value, where)
    if isinstance(value, float):
        return number(value, where)
    if isinstance(value, list | tuple):
        return list(array(lambda item, at: tree(item, at, depth + 1))(value, where))
    items = _object(value, where, MAX_ITEMS)
    return {
        text(256)(key, where): tree(item, f"{where}.{key}", depth + 1)
        for key, item in items.items()
    }


def mapping(value: Any, where: str) -> dict[str, Any]:
    """Check an object that holds any JSON values."""
    _object(value, where, MAX_ITEMS)
    result: dict[str, Any] = tree(value, where)
    return result


def _object(value: Any, where: str, limit: int) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or len(value) > limit:
        raise ValueError(f"{where}: an object of at most {limit} items is expected")
    return value
