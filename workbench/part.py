"""A part of a session as words: what the panel, its command line and the command have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.errors import QueryError
from workbench.selection import nanoseconds

if TYPE_CHECKING:
    from workbench.recording import Recording
    from workbench.selection import Selection

COLUMNS = ("pid", "tid", "comm", "cpu", "name")
"""Columns whose values select rows, as of ``Session.where``."""
_NUMBERS = {"pid", "tid", "cpu"}


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a session, as the command line says it.

    Parameters
    ----------
    window : (str, str)
        Ends: seconds since the start with a decimal point, or ns since 1970; ``""`` leaves one
        open.
    where : tuple of (column, values)
        Rows that have one of these values, for each of :data:`COLUMNS` that is named.
    """

    window: tuple[str, str] = ("", "")
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def of(self, rec: Recording) -> Recording:
        """Return that part of a recording.

        Raises
        ------
        QueryError
            A value or a time has no meaning, or no table has the column.
        """
        if any(self.window):
            start, stop = (_time(text) for text in self.window)
            rec = rec.window(start, stop)
        for column, values in self.where:
            rec = rec.where(**{column: _values(column, values)})
        return rec

    def words(self) -> list[str]:
        """Return the arguments of ``workbench export`` that say it.

        Raises
        ------
        QueryError
            A column is to have one of no values, which no argument can say.
        """
        if empty := [column for column, values in self.where if not values]:
            raise QueryError(f"Rows with no {empty[0]} at all cannot be said on the command line.")
        words = [f"--window={self.window[0]}:{self.window[1]}"] if any(self.window) else []
        return words + [
            f"--where={name}={value}" for name, values in self.where for value in values
        ]


def part_of(selection: Selection, origin: int) -> Part:
    """Return what a selection says as a part.

    Parameters
    ----------
    selection : Selection
        Of a session.
    origin : int
        Start of that session, ns since 1970.

    Raises
    ------
    QueryError
        It has conditions in polars or SQL, which no command line can say.
    """
    if selection.expressions:
        raise QueryError(
            "A condition in polars or SQL cannot be said on the command line.",
            advice='Save the selected part, session.save("part.wb"), and export that.',
        )
    where: dict[str, tuple[Any, ...]] = {}
    for column, values in selection.values:  # conditions on one column hold together
        kept = where.get(column, values)
        where[column] = tuple(value for value in dict.fromkeys(kept) if value in values)
    return Part(
        window=(_end(selection.start, origin), _end(selection.stop, origin)),
        where=tuple((column, tuple(map(str, values))) for column, values in where.items()),
    )


def _end(time: int | None, origin: int) -> str:
    """Return a time in seconds since the start if that says it exactly, else in ns since 1970."""
    if time is None:
        return ""
    seconds = (time - origin) / 1e9
    text = f"{seconds:.9f}".rstrip("0")
    text += "0" if text.endswith(".") else ""
    return text if nanoseconds(float(text), origin) == time else str(time)


def _time(text: str) -> float | int | None:
    try:
        return None if not text else float(text) if "." in text else int(text)
    except ValueError:
        raise QueryError(
            f"{text!r} is no time.",
            advice="Write seconds since the start with a decimal point (1.5), or ns since 1970.",
        ) from None


def _values(column: str, values: tuple[str, ...]) -> list[str] | list[int]:
    if column not in COLUMNS:
        raise QueryError(
            f"Rows cannot be selected by {column!r}.", advice=f"Columns: {', '.join(COLUMNS)}"
        )
    if column not in _NUMBERS:
        return list(values)
    try:
        return [int(value) for value in values]
    except ValueError:
        raise QueryError(f"{column}= takes whole numbers, not {', '.join(values)}.") from None
