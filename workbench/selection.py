"""What part of a session is looked at: a window of time, values of columns, expressions.

A :class:`Selection` is a value: it is put together by ``Recording.window`` and
``Recording.where``, and applied when a table is read.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from workbench.errors import QueryError

if TYPE_CHECKING:
    import polars as pl

Time = datetime | timedelta | int | float | None
"""UTC time (datetime, or ns since 1970 as int) or time since the start (timedelta, or s as
float); None leaves that end open."""

Window = tuple[int, int]

LAST = (1 << 63) - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_1971 = 31_536_000 * 1_000_000_000
_LIMITS = {"pid": 1 << 32, "tid": 1 << 32, "cpu": 1 << 16}


@dataclass(frozen=True)
class Selection:
    """A part of a session; without arguments all of it.

    Parameters
    ----------
    start, stop : int, optional
        Rows with start <= ts < stop, ns UTC.
    values : tuple of (column, values)
        Rows whose column has one of the values, for every pair.
    expressions : tuple of polars.Expr
        Rows for which all are true.
    """

    start: int | None = None
    stop: int | None = None
    values: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    expressions: tuple[Any, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.window or self.values or self.expressions)

    @property
    def window(self) -> Window | None:
        """The window of time, None when it is open at both ends."""
        if self.start is None and self.stop is None:
            return None
        low = -LAST if self.start is None else self.start
        return low, LAST if self.stop is None else self.stop

    def cut(self, t0: Time, t1: Time, origin: int) -> Selection:
        """Return the part of this selection that lies in a window.

        Parameters
        ----------
        t0, t1 : Time
            Ends; `t1` itself is outside.
        origin : int
            Start of the session, ns UTC.

        Raises
        ------
        QueryError
            An end is no time, or the window ends before it starts.
        """
        start, stop = nanoseconds(t0, origin), nanoseconds(t1, origin)
        if start is not None and stop is not None and stop < start:
            raise QueryError(f"The window ends ({t1}) before it starts ({t0}).")
        starts = [t for t in (start, self.start) if t is not None]
        stops = [t for t in (stop, self.stop) if t is not None]
        return replace(self, start=max(starts, default=None), stop=min(stops, default=None))

    def having(self, column: str, values: Any) -> Selection:
        """Return the part of this selection in which `column` has one of `values`."""
        return replace(self, values=(*self.values, (column, _listed(column, values))))

    def meeting(self, expression: Any) -> Selection:
        """Return the part of this selection for which a polars or SQL expression is true."""
        return replace(self, expressions=(*self.expressions, expression_of(expression)))

    def predicate(self, columns: Iterable[str], *, ended: bool = False) -> pl.Expr | None:
        """Return the condition on the rows of a table, None when all rows meet it.

        Parameters
        ----------
        columns : iterable of str
            The table's columns: conditions on others do not concern the table.
        ended : bool
            Apply only the window's end: rows of ``processes`` hold from their time on, also
            when that is before the window.
        """
        there = set(columns)
        parts = [*self._time_parts(ended)] if "ts" in there else []
        parts += [_among(column, values) for column, values in self.values if column in there]
        parts += [e for e in self.expressions if set(e.meta.root_names()) <= there]
        condition = None
        for part in parts:
            condition = part if condition is None else condition & part
        return condition

    def describe(self) -> str:
        """Return the selection in words, ``""`` for all of a session."""
        words = []
        if self.window:
            ends = [datetime_of(t).isoformat() if t else "" for t in (self.start, self.stop)]
            words.append(f"{ends[0]} … {ends[1]}")
        for column, values in self.values:
            shown = ", ".join(map(str, values[:4])) + (", …" if len(values) > 4 else "")
            words.append(f"{column} = {shown}" if len(values) == 1 else f"{column} in [{shown}]")
        return " and ".join([*words, *map(str, self.expressions)])

    def _time_parts(self, ended: bool) -> Iterable[pl.Expr]:
        import polars as pl

        kind = pl.Datetime("ns", "UTC")
        if self.start is not None and not ended:
            yield pl.col("ts") >= pl.lit(self.start, pl.Int64).cast(kind)
        if self.stop is not None:
            yield pl.col("ts") < pl.lit(self.stop, pl.Int64).cast(kind)


def nanoseconds(time: Time, origin: int) -> int | None:
    """Return a time as ns UTC.

    Parameters
    ----------
    time : Time
        A datetime without a zone is taken as UTC.
    origin : int
        Start of the session, ns UTC.

    Raises
    ------
    QueryError
        It is no time, or not one between 1677 and 2262.
    """
    if time is None:
        return None
    result = _exact(time, origin)
    if not -LAST < result < LAST:
        raise QueryError(f"{time!r} is outside the times that a session can hold.")
    return result


def _exact(time: Any, origin: int) -> int:
    if isinstance(time, datetime):
        if hasattr(time, "as_unit"):  # pandas.Timestamp is a datetime with nanoseconds
            return int(time.as_unit("ns").value)
        aware = time if time.tzinfo else time.replace(tzinfo=UTC)
        return _microseconds(aware - _EPOCH) * 1000
    if isinstance(time, timedelta):
        return origin + _microseconds(time) * 1000
    if hasattr(time, "astype"):  # numpy scalars
        return _exact_numpy(time, origin)
    if isinstance(time, float) and math.isfinite(time):
        return origin + round(time * 1e9)
    if isinstance(time, int) and not isinstance(time, bool):
        if 0 <= time < _YEAR_1971:
            raise QueryError(
                f"{time} as nanoseconds since 1970 is before any session.",
                advice=f"For seconds since the start of the session write {time}.0",
            )
        return time
    raise QueryError(f"{time!r} is not a time.", advice="Use a datetime, int ns UTC or float s.")


def _exact_numpy(time: Any, origin: int) -> int:
    if time.dtype.kind == "M":
        return int(time.astype("datetime64[ns]").astype("int64"))
    if time.dtype.kind == "m":
        return origin + int(time.astype("timedelta64[ns]").astype("int64"))
    return _exact(time.item(), origin)


def _microseconds(delta: timedelta) -> int:
    return delta // timedelta(microseconds=1)


def datetime_of(time: int) -> datetime:
    """Return ns UTC as a datetime (which has microseconds)."""
    return _EPOCH + timedelta(microseconds=time // 1000)


def _listed(column: str, values: Any) -> tuple[Any, ...]:
    scalar = isinstance(values, str | bytes) or not isinstance(values, Iterable)
    items = [values] if scalar else list(values)
    if column not in _LIMITS:
        if not all(isinstance(item, str) for item in items):
            raise QueryError(f"{column}= takes names, not {values!r}.")
        return tuple(items)
    try:
        numbers = [operator.index(item) for item in items]
    except TypeError:
        raise QueryError(f"{column}= takes whole numbers, not {values!r}.") from None
    return tuple(n for n in numbers if 0 <= n < _LIMITS[column])


def _among(column: str, values: tuple[Any, ...]) -> pl.Expr:
    import polars as pl

    if not values:
        return pl.col(column).is_null() & pl.col(column).is_not_null()
    if len(values) == 1:
        return pl.col(column).eq(values[0])
    return pl.col(column).is_in(list(values))


def expression_of(expression: Any) -> Any:
    """Return a polars expression from one, or from the text of a SQL condition.

    Raises
    ------
    QueryError
        The text is no SQL, or the value is neither.
    """
    import polars as pl

    if isinstance(expression, pl.Expr):
        return expression
    if not isinstance(expression, str):
        raise QueryError(f"expr= takes a polars expression or SQL text, not {expression!r}.")
    try:
        return pl.sql_expr(expression)
    except pl.exceptions.PolarsError as error:
        raise QueryError(f"{expression!r} is not a SQL condition.", why=str(error)) from error
